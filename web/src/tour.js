// The tabs a new visitor finds, in the order to try them. Each runs as it stands.

const listAgents = `# 1 of 5. Press the pink button, or Ctrl-Enter.
#
# The book at the top left describes every field.

query ListAgents {
  agents {
    edges {
      node {
        id
        name
        description
        model
      }
    }
  }
}
`;

const newSession = `# 2 of 5. A session holds one conversation.
#
# Its id can go into the variables of 3 and 4.

mutation NewSession {
  createSession(input: { agent: "research" }) {
    session {
      id
    }
  }
}
`;

const ask = `# 3 of 5. The mutation waits for the whole answer.

mutation Ask($sessionId: ID, $text: String!) {
  chat(
    input: {
      agent: "research"
      sessionId: $sessionId
      message: { text: $text }
    }
  ) {
    run {
      id
      status
    }
    message {
      text
    }
    session {
      id
    }
  }
}
`;

const watch = `# 4 of 5. The subscription streams typed events.
#
# Stop it half-way: the run goes on, and you are
# told how to watch it again.

subscription Watch($sessionId: ID, $text: String!) {
  chat(
    input: {
      agent: "research"
      sessionId: $sessionId
      message: { text: $text }
    }
  ) {
    __typename
    sequence
    run {
      id
    }
    ... on TextDelta {
      delta
      message {
        id
        text
      }
    }
    ... on RunCompleted {
      run {
        status
      }
    }
    ... on RunFailed {
      run {
        error {
          code
          message
        }
      }
    }
  }
}
`;

const history = `# 5 of 5. What was said.

query History {
  sessions(first: 5) {
    edges {
      node {
        id
        title
        messages(first: 20) {
          edges {
            node {
              role
              text
            }
          }
        }
      }
    }
  }
}
`;

const withText = (text) => `{
  // "sessionId": "ses_…",
  "text": ${JSON.stringify(text)}
}
`;

export const tour = [
  { query: listAgents },
  { query: newSession },
  { query: ask, variables: withText('What is GraphQL good for? Answer in two sentences.') },
  { query: watch, variables: withText('Tell me a short story about a lighthouse.') },
  { query: history },
];

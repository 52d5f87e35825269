#!/usr/bin/env bash
# Asks an agent, follows the run, and resumes it when the connection breaks. Needs only curl.
#
#   examples/curl/chat.sh [--break-after EVENTS] TEXT
#
# --break-after  ends the first connection itself after so many events, to show the resumption
# TALKGRAPH_URL  the server, http://127.0.0.1:8080 unless set
# TALKGRAPH_KEY  the key, where the server has keys
set -euo pipefail

url=${TALKGRAPH_URL:-http://127.0.0.1:8080}/graphql
attempts=5

break_after=0
if [[ ${1:-} == --break-after ]]; then
  break_after=$2
  shift 2
fi
text=${1:?usage: chat.sh [--break-after EVENTS] TEXT}

# The text as a JSON string.
json_string() {
  local text=${1//\\/\\\\}
  text=${text//\"/\\\"}
  text=${text//$'\n'/\\n}
  printf '"%s"' "$text"
}

graphql() {
  local body=$1
  shift
  local headers=(--header 'content-type: application/json')
  if [[ -n ${TALKGRAPH_KEY:-} ]]; then headers+=(--header "authorization: Bearer $TALKGRAPH_KEY"); fi
  curl --silent --no-buffer "${headers[@]}" "$@" --data "$body" "$url"
}

# Starts a run and prints its id. With the idempotency key a repetition starts no second run, so
# curl may repeat the request after a broken connection.
start() {
  local key query variables answer
  key=$(date +%s)-$$-$RANDOM
  # shellcheck disable=SC2016 # variables of GraphQL
  query='mutation Ask($input: ChatInput!) { sendMessage(input: $input) { run { id } } }'
  variables="{\"input\":{\"message\":{\"text\":$(json_string "$text")},\"idempotencyKey\":\"$key\"}}"
  answer=$(graphql "{\"query\":\"$query\",\"variables\":$variables}" --show-error --retry 3 --retry-connrefused)
  if [[ $answer =~ \"id\":\"(run_[a-z0-9]+)\" ]]; then
    echo "${BASH_REMATCH[1]}"
  else
    echo "$answer" >&2
    return 1
  fi
}

# Prints the run's text from the event after `after`, and sets `after` to the last event seen.
# Succeeds when the run has ended.
after=0
follow() {
  local run=$1 query events=0 line terminal=1
  # shellcheck disable=SC2016 # variables of GraphQL
  query='subscription Follow($run: ID!, $after: Int) { runEvents(runId: $run, after: $after) { __typename sequence ... on TextDelta { delta } } }'
  while IFS= read -r line; do
    case $line in
      'id: '*) after=${line#id: } events=$((events + 1)) ;;
      *'"RunCompleted"'* | *'"RunFailed"'* | *'"RunCancelled"'*) terminal=0 ;;
      *'"errors"'*) echo "$line" >&2 ;;
    esac
    # The last field that is selected, so that its text ends where the event ends.
    if [[ $line =~ \"delta\":\"(.*)\"\}\}\}$ ]]; then printf '%b' "${BASH_REMATCH[1]}"; fi
    # An event ends with an empty line.
    if [[ -z $line ]] && ((break_after > 0 && events == break_after)); then
      break_after=0
      break
    fi
  done < <(graphql "{\"query\":\"$query\",\"variables\":{\"run\":\"$run\",\"after\":$after}}" \
    --header 'accept: text/event-stream' || true)
  return "$terminal"
}

run=$(start)
until follow "$run"; do
  if ((--attempts == 0)); then
    echo "the run $run has not ended" >&2
    exit 1
  fi
  echo "resuming $run after event $after" >&2
  sleep 0.2
done
echo

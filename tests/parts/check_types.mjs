// Checks request bodies against the types of the vendors' own libraries.
//
//   node check_types.mjs FOLDER   each file PROTOCOL-….json in it is a body
//
// The bodies become literals of a TypeScript program, so that a field that the type does not
// have is an error as well as one of another type.
import { execFileSync } from "node:child_process";
import { readFileSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const folder = process.argv[2];
const here = dirname(fileURLToPath(import.meta.url));

const types = {
  chat: "Chat",
  responses: "Responses",
  anthropic: "Anthropic",
  gemini: "Gemini",
};

// Google's library names its enums; on the wire they are their texts, in any case.
const head = `
import type { ChatCompletionCreateParamsStreaming } from "openai/resources/chat/completions";
import type { ResponseCreateParamsStreaming } from "openai/resources/responses/responses";
import type { MessageCreateParamsStreaming } from "@anthropic-ai/sdk/resources/messages";
import type * as google from "@google/genai";
type Wire<T> = T extends string ? \`\${T}\` : T extends (infer U)[] ? Wire<U>[]
  : T extends object ? { [K in keyof T]: Wire<T[K]> } : T;
type Chat = ChatCompletionCreateParamsStreaming;
type Responses = ResponseCreateParamsStreaming;
type Anthropic = MessageCreateParamsStreaming;
type Gemini = Wire<{ contents: google.Content[]; systemInstruction?: google.Content;
  tools?: google.Tool[]; toolConfig?: google.ToolConfig;
  generationConfig?: google.GenerationConfig }>;
`;

const bodies = readdirSync(folder).filter((name) => name.endsWith(".json")).sort();
const lines = bodies.map((name, index) => {
  const [protocol] = name.split("-");
  const body = JSON.parse(readFileSync(join(folder, name), "utf8"), (key, value) =>
    key === "thinkingLevel" ? value.toUpperCase() : value,
  );
  return `// ${name}\nexport const body${index}: ${types[protocol]} = ${JSON.stringify(body)};`;
});
if (lines.length === 0) throw new Error(`no body in ${folder}`);
writeFileSync(join(folder, "bodies.ts"), head + lines.join("\n") + "\n");
writeFileSync(
  join(folder, "tsconfig.json"),
  JSON.stringify({
    compilerOptions: {
      strict: true, noEmit: true, skipLibCheck: true, types: [],
      target: "es2022", module: "nodenext", moduleResolution: "nodenext",
    },
    files: ["bodies.ts"],
  }),
);
writeFileSync(join(folder, "package.json"), JSON.stringify({ type: "module" }));
try {
  symlinkSync(join(here, "node_modules"), join(folder, "node_modules"));
} catch (error) {
  if (error.code !== "EEXIST") throw error;
}
try {
  execFileSync(join(here, "node_modules/.bin/tsc"), ["--project", folder, "--pretty", "false"], {
    encoding: "utf8",
  });
} catch (error) {
  console.error(error.stdout);
  process.exit(1);
}
console.log(`${lines.length} bodies fit the types`);

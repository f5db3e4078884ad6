// Files and conversations by the openai client for Node.
//
// Usage: node conversation.cjs BASE_URL KEY FOLDER; prints one JSON object a line.
"use strict";

const fs = require("node:fs");
const path = require("node:path");
const OpenAI = require("openai");

const [baseURL, apiKey, folder] = process.argv.slice(2);
const client = new OpenAI({ apiKey, baseURL });
const WARRANTY = { role: "user", content: "How long is the warranty of the pump?" };
const MACHINES = { role: "user", content: "自助借还机的保修期是多久？" };

function say(step, value) {
  console.log(JSON.stringify({ [step]: value }));
}

function about(fileId, question, options = {}) {
  const system = [
    { role: "system", content: "You are a helpful assistant." },
    { role: "system", content: `fileid://${fileId}` },
  ];
  return client.chat.completions.create({ model: "qwen-long", messages: [...system, question], ...options });
}

async function upload(name) {
  const file = fs.createReadStream(path.join(folder, name));
  return client.files.create({ file, purpose: "file-extract" });
}

async function streamed(fileId, question, options = {}) {
  const chunks = [];
  for await (const chunk of await about(fileId, question, { stream: true, ...options })) chunks.push(chunk);
  return chunks;
}

async function failure(call) {
  try {
    return await call();
  } catch (error) {
    if (!(error instanceof OpenAI.APIError)) throw error;
    const { status, code, type, param, requestID } = error;
    return { class: error.constructor.name, status, code, type, param: param ?? null, has_id: Boolean(requestID) };
  }
}

async function files() {
  const uploaded = await upload("年度报告.pdf");
  say("uploaded", uploaded);
  say("parsed", await client.files.waitForProcessing(uploaded.id, { pollInterval: 50, maxWait: 60_000 }));
  say("content", await (await client.files.content(uploaded.id)).text());
  const twin = await upload("handbook.txt");
  const listed = [];
  for await (const file of client.files.list({ limit: 1 })) listed.push(file.id);
  say("listed", listed);
  say("deleted", await client.files.delete(twin.id));
  say("missing_file", await failure(() => client.files.retrieve(twin.id)));
  say("wrong_purpose", await failure(async () => {
    const file = await OpenAI.toFile(Buffer.from("A poem."), "poem.txt");
    return client.files.create({ file, purpose: "poetry" });
  }));
  return uploaded.id;
}

async function conversations(report) {
  const handbook = (await upload("handbook.pdf")).id;
  say("whole", await about(handbook, WARRANTY));
  say("chinese", await about(report, MACHINES));
  say("streamed", await streamed(handbook, WARRANTY));
  say("streamed_with_usage", await streamed(report, MACHINES, { stream_options: { include_usage: true } }));
  const helper = client.chat.completions.stream({ model: "qwen-plus", messages: [WARRANTY] });
  say("by_helper", (await helper.finalChatCompletion()).choices[0].message.content);
}

async function models() {
  const listed = [];
  for await (const model of client.models.list()) listed.push(model.id);
  say("models", listed);
  say("model", await client.models.retrieve("qwen-long"));
  const { data } = await client.embeddings.create({ model: "text-embedding-v4", input: ["春天来了"] });
  say("embedded", data[0].embedding);
}

async function errors() {
  const ask = (with_client, model, options = {}) =>
    with_client.chat.completions.create({ model, messages: [WARRANTY], ...options });
  const stranger = new OpenAI({ apiKey: "sk-nobody", baseURL });
  say("bad_key", await failure(() => ask(stranger, "qwen-plus")));
  say("unknown_model", await failure(() => ask(client, "qwen-short")));
  say("unknown_model_streamed", await failure(() => ask(client, "qwen-short", { stream: true })));
  say("out_of_range", await failure(() => ask(client, "qwen-plus", { top_p: 3 })));
  say("unknown_file", await failure(() => about("file-fe-00000000000000000000ffff", WARRANTY)));
}

async function limits() {
  const ask = (options) =>
    client.chat.completions.create({ model: "qwen-turbo", messages: [WARRANTY] }, options);
  let refused;
  do refused = await failure(() => ask({ maxRetries: 0 }));
  while (refused.choices);
  say("limited", refused);
  say("retried", (await ask()).choices[0].message.content);
}

files().then(conversations).then(models).then(errors).then(limits);

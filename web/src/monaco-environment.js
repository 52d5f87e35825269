globalThis.MonacoEnvironment = {
  getWorker: (_moduleId, label) =>
    new Worker(new URL('graphiql/worker.js', document.baseURI), { name: label }),
};

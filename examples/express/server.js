'use strict';

const fs = require('node:fs');
const path = require('node:path');
const express = require('express');

const version = fs.readFileSync(path.join(__dirname, 'VERSION'), 'utf8').trim();
const instance = process.env.DYNO || 'local';
const app = express();
app.disable('x-powered-by');

app.get('/', (request, response) => {
  response.type('text/plain').send(`Hello from ${instance}, ${version}\n`);
});
app.get('/healthz', (request, response) => {
  response.json({ status: 'ok', version, instance });
});

const server = app.listen(process.env.PORT || 8000, '0.0.0.0', (error) => {
  if (error) throw error;
  console.log(`${version} listening on port ${server.address().port}`);
});

// Finishes the requests it has; idle connections are closed at once.
process.on('SIGTERM', () => {
  server.close(() => process.exit(0));
  server.closeIdleConnections();
});

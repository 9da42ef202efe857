// Programs that keep to their library's defaults: each publishes one message and says how it learned what became of it.
//
//   node defaults.js LIBRARY URL EXCHANGE KEY confirms|plain    the body on stdin
//
// Prints what it learned, or nothing; what is not caught ends the process, which is a way of learning, too.
'use strict';

const fs = require('node:fs');

const [library, url, exchange, key, kind] = process.argv.slice(2);
const body = fs.readFileSync(0);
const LIMIT_MS = 20000;

const learned = (how) => {
  process.stdout.write(String(how));
  process.exit(0);
};
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const programs = {
  async amqplib() {
    const connection = await require('amqplib').connect(url);
    if (kind === 'confirms') {
      const channel = await connection.createConfirmChannel();
      channel.publish(exchange, key, body, { mandatory: true }, (error) => learned(error ? error.message : ''));
    } else {
      const channel = await connection.createChannel();
      channel.publish(exchange, key, body);
    }
  },

  async 'amqp-connection-manager'() {
    const connection = require('amqp-connection-manager').connect([url]);
    const channel = connection.createChannel({ confirm: kind === 'confirms' });
    if (kind === 'plain') channel.on('error', (error) => learned(error.message));
    await channel.publish(exchange, key, body, { mandatory: true }).then(
      () => kind === 'plain' || learned(''),
      (error) => learned(error.message),
    );
  },

  async rascal() {
    const { BrokerAsPromised } = require('rascal');
    const publication = { vhost: 'v', exchange, routingKey: key, confirm: kind === 'confirms', options: { mandatory: true } };
    const broker = await BrokerAsPromised.create({
      vhosts: { v: { connection: { url }, exchanges: { [exchange]: { assert: false } }, publications: { p: publication } } },
    });
    broker.on('error', (error) => learned(error.message));
    const session = await broker.publish('p', body);
    session.on('error', (error) => learned(error.message));
    session.on('success', () => kind === 'plain' || learned(''));
  },
};

programs[library]()
  .then(() => pause(LIMIT_MS))
  .then(() => learned(''));

// Programs as the libraries' documentation writes them; none knows of an agent. See ../programs/__init__.py.
//
//   node programs.js LIBRARY consume URL QUEUE [line]
//   node programs.js LIBRARY publish URL EXCHANGE KIND
'use strict';

const fs = require('node:fs');
const readline = require('node:readline');

const [library, role, url, where, kind = ''] = process.argv.slice(2);
const FAILS = 100;
const FOR_GOOD = 150; // given back with the one line that asks for it not to come again at once
const HOLDS = 200;

const say = (text) => process.stdout.write(`${text}\n`);
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const numberOf = (message) => JSON.parse(message.content).payload.number;

const work = async (message) => {
  const number = numberOf(message);
  say(`got ${number}`);
  if (number >= FAILS && number < HOLDS) throw new Error(`cannot handle ${number}`);
  while (number >= HOLDS && !fs.existsSync(process.env.LETRADE_GO)) await pause(20);
  say(`did ${number}`);
};

const eachLine = async (publish) => {
  say('ready');
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const at = line.indexOf(' ');
    await publish(line.slice(0, at), Buffer.from(line.slice(at + 1)));
  }
};
const answered = (error) => say(error ? `refused: ${error.message}` : 'ok');

const confirms = kind.includes('confirms');
const mandatory = kind.includes('mandatory');

const programs = {
  amqplib: {
    async consume() {
      const connection = await require('amqplib').connect(url);
      if (kind === 'line') connection.on('close', () => process.exit(1));
      const channel = await connection.createChannel();
      await channel.assertQueue(where, { durable: true });
      await channel.prefetch(1);
      await channel.consume(where, (message) =>
        work(message).then(
          () => channel.ack(message),
          () => (numberOf(message) < FOR_GOOD ? channel.reject(message) : channel.reject(message, false)),
        ),
      );
      say('ready');
    },

    async publish() {
      const connection = await require('amqplib').connect(url);
      const channel = await (confirms ? connection.createConfirmChannel() : connection.createChannel());
      await eachLine((key, body) => {
        if (confirms) return new Promise((next) => channel.publish(where, key, body, { mandatory }, (error) => next(answered(error))));
        channel.publish(where, key, body, { mandatory });
        return say('ok');
      });
    },
  },

  'amqp-connection-manager': {
    async consume() {
      const connection = require('amqp-connection-manager').connect([url]);
      const wrapper = connection.createChannel({
        setup: (channel) =>
          Promise.all([
            channel.assertQueue(where, { durable: true }),
            channel.prefetch(1),
            channel.consume(where, (message) =>
              work(message).then(
                () => wrapper.ack(message),
                () => (numberOf(message) < FOR_GOOD ? wrapper.nack(message) : wrapper.nack(message, false, false)),
              ),
            ),
          ]),
      });
      await wrapper.waitForConnect();
      say('ready');
    },

    async publish() {
      const connection = require('amqp-connection-manager').connect([url]);
      const wrapper = connection.createChannel({ confirm: confirms });
      await eachLine((key, body) =>
        wrapper.publish(where, key, body, { mandatory }).then(() => answered(), answered),
      );
    },
  },

  rascal: {
    async consume() {
      const { BrokerAsPromised } = require('rascal');
      const broker = await BrokerAsPromised.create({
        vhosts: {
          v: {
            connection: { url },
            queues: { [where]: { options: { durable: true } } },
            subscriptions: { s: { queue: where, prefetch: 1 } },
          },
        },
      });
      broker.on('error', (error) => console.error(error.message));
      const session = await broker.subscribe('s');
      session.on('message', (message, content, ackOrNack) =>
        work(message).then(
          () => ackOrNack(),
          (error) => ackOrNack(error),
        ),
      );
      session.on('error', (error) => console.error(error.message));
      say('ready');
    },

    async publish() {
      const { BrokerAsPromised } = require('rascal');
      const broker = await BrokerAsPromised.create({
        vhosts: {
          v: {
            connection: { url },
            exchanges: { [where]: { type: 'topic', options: { durable: true } } },
            publications: { p: { exchange: where, confirm: confirms, options: { mandatory } } },
          },
        },
      });
      broker.on('error', (error) => say(`refused: ${error.message}`));
      await eachLine(async (key, body) => {
        const session = await broker.publish('p', body, key);
        session.on('return', () => {});
        await new Promise((next) => {
          session.on('success', () => next(answered()));
          session.on('error', (error) => next(answered(error)));
        });
      });
    },
  },
};

programs[library][role]().catch((error) => {
  console.error(error);
  process.exit(1);
});

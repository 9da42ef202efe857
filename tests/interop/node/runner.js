// The suite's client by amqplib: reads one JSON request a line, answers one JSON line each.
// It only translates: what is asked, expected and checked lies in the Python beside it.
'use strict';

const fs = require('node:fs');
const readline = require('node:readline');
const amqplib = require('amqplib');

const connections = new Map();
const channels = new Map();
let lastId = 0;

// JSON knows neither bytes nor which number is a float.
function toJson(value) {
  if (Buffer.isBuffer(value)) return { $bytes: value.toString('base64') };
  if (Array.isArray(value)) return value.map(toJson);
  if (value && typeof value === 'object') {
    return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, toJson(one)]));
  }
  return value === undefined ? null : value;
}

function fromJson(value) {
  if (Array.isArray(value)) return value.map(fromJson);
  if (value && typeof value === 'object') {
    if ('$bytes' in value) return Buffer.from(value.$bytes, 'base64');
    if ('$double' in value) return { '!': 'double', value: value.$double };
    return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, fromJson(one)]));
  }
  return value;
}

function message(found) {
  if (!found) return null;
  const { fields, properties } = found;
  return {
    body: found.content.toString('base64'),
    exchange: fields.exchange,
    routingKey: fields.routingKey,
    tag: fields.deliveryTag || 0,
    redelivered: Boolean(fields.redelivered),
    code: fields.replyCode,
    text: fields.replyText,
    properties: toJson(properties),
  };
}

// A list that can be waited on.
class Inbox {
  constructor() {
    this.items = [];
    this.waiting = [];
  }

  put(item) {
    const waiter = this.waiting.shift();
    if (waiter) waiter(item);
    else this.items.push(item);
  }

  take(limitMs) {
    if (this.items.length) return Promise.resolve(this.items.shift());
    return new Promise((resolve) => {
      const waiter = (item) => {
        clearTimeout(timer);
        resolve(item);
      };
      const timer = setTimeout(() => {
        this.waiting.splice(this.waiting.indexOf(waiter), 1);
        resolve(null);
      }, limitMs);
      this.waiting.push(waiter);
    });
  }
}

async function open(connection, confirms) {
  const channel = await (confirms ? connection.createConfirmChannel() : connection.createChannel());
  const state = { channel, confirms, deliveries: new Inbox(), returns: new Inbox(), closes: new Inbox(), why: null };
  channel.on('return', (found) => state.returns.put(message(found)));
  channel.on('error', (error) => {
    state.why = { code: error.code || 0, text: error.message };
    state.closes.put(state.why);
  });
  return state;
}

function publish(state, { exchange, key, body, options }) {
  const content = Buffer.from(body, 'base64');
  const asked = fromJson(options);
  if (!state.confirms) {
    state.channel.publish(exchange, key, content, asked);
    return 'sent';
  }
  const before = state.returns.items.length;
  return new Promise((resolve) => {
    state.channel.publish(exchange, key, content, asked, (error) => {
      if (error) resolve('refused');
      else resolve(state.returns.items.length > before ? 'returned' : 'confirmed');
    });
  });
}

const onChannel = {
  declareExchange: (s, a) => s.channel.assertExchange(a.name, a.kind, { durable: a.durable }),
  declareQueue: (s, a) => (a.passive ? s.channel.checkQueue(a.name) : s.channel.assertQueue(a.name, fromJson(a.options))),
  bind: (s, a) => s.channel.bindQueue(a.queue, a.exchange, a.key),
  unbind: (s, a) => s.channel.unbindQueue(a.queue, a.exchange, a.key),
  purge: (s, a) => s.channel.purgeQueue(a.queue),
  deleteQueue: (s, a) => s.channel.deleteQueue(a.queue),
  deleteExchange: (s, a) => s.channel.deleteExchange(a.name),
  publish,
  qos: (s, a) => s.channel.prefetch(a.count),
  consume: (s, a) =>
    s.channel.consume(a.queue, (found) => s.deliveries.put(message(found)), { noAck: a.noAck, exclusive: a.exclusive }),
  cancel: (s, a) => s.channel.cancel(a.consumer),
  next: (s, a) => s.deliveries.take(a.limitMs),
  returned: (s, a) => s.returns.take(a.limitMs),
  closed: (s, a) => s.why || s.closes.take(a.limitMs),
  get: async (s, a) => message(await s.channel.get(a.queue, { noAck: a.noAck })),
  ack: (s, a) => s.channel.ack({ fields: { deliveryTag: a.tag } }, a.multiple),
  nack: (s, a) => s.channel.nack({ fields: { deliveryTag: a.tag } }, a.multiple, a.requeue),
  reject: (s, a) => s.channel.reject({ fields: { deliveryTag: a.tag } }, a.requeue),
  recover: (s) => s.channel.recover(),
  close: (s) => s.channel.close(),
};

async function perform({ op, on, args }) {
  if (op === 'connect') {
    const socketOptions = args.caFile ? { ca: [fs.readFileSync(args.caFile)] } : args.socket ? { path: args.socket } : {};
    const connection = await amqplib.connect(args.where, socketOptions);
    connection.on('error', () => {}); // the pending call tells
    connections.set(++lastId, connection);
    return lastId;
  }
  if (op === 'channel') {
    channels.set(++lastId, await open(connections.get(on), args.confirms));
    return lastId;
  }
  if (op === 'disconnect') {
    const connection = connections.get(on);
    connections.delete(on);
    try {
      await connection.close();
    } catch {
      // the peer was quicker
    }
    return null;
  }
  return onChannel[op](channels.get(on), args);
}

readline.createInterface({ input: process.stdin }).on('line', async (line) => {
  const request = JSON.parse(line);
  const answer = { id: request.id };
  try {
    answer.result = (await perform(request)) ?? null;
  } catch (error) {
    const state = channels.get(request.on);
    await new Promise(setImmediate); // the channel's own error event tells the code
    answer.error = (state && state.why) || { code: error.code || 0, text: String(error.message || error) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
});

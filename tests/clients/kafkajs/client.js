// What kafkajs sees of a broker. See ../scenarios.py for the commands and what they print.
'use strict'

const kafkajs = require('kafkajs')
const zstd = require('@bokuweb/zstd-wasm')
const { CompressionTypes, ConfigResourceTypes, Kafka, logLevel } = kafkajs

kafkajs.CompressionCodecs[CompressionTypes.Snappy] = require('kafkajs-snappy')
kafkajs.CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: async (encoder) => Buffer.from(zstd.compress(encoder.buffer)),
  decompress: async (data) => Buffer.from(zstd.decompress(data)),
})

const RECORD_COUNT = 10
const PATIENCE_MS = 30000

const emit = (line) => process.stdout.write(JSON.stringify(line) + '\n')
const client = (broker) => new Kafka({ brokers: [broker], logLevel: logLevel.NOTHING, retry: { retries: 3 } })
const text = (data) => (data === null ? null : data.toString())
const values = (messages) => messages.map((message) => text(message.value))

async function connected(one, use) {
  await one.connect()
  try {
    return await use(one)
  } finally {
    await one.disconnect()
  }
}

const withAdmin = (broker, use) => connected(client(broker).admin(), use)

const create = (broker, topic, numPartitions) =>
  withAdmin(broker, (admin) => admin.createTopics({ topics: [{ topic, numPartitions }] }))

const numbered = () =>
  Array.from({ length: RECORD_COUNT }, (_, i) => ({
    key: `k${i}`, value: `v${i}`, partition: 0, timestamp: String(1000000 + 1000 * i),
  }))

async function produce(broker, topic, messages, compression = CompressionTypes.None) {
  return connected(client(broker).producer(), async (producer) => {
    const [answer] = await producer.send({ topic, messages, compression, acks: -1 })
    const base = Number(answer.baseOffset)
    return messages.map((_, i) => base + i)
  })
}

// Reads `count` messages of partition 0; `place` runs as soon as the consumer has joined.
async function read(broker, topic, count, { fromBeginning = true, place = async () => {} } = {}) {
  const groupId = `${topic}-reader-${process.pid}-${count}`
  return connected(client(broker).consumer({ groupId, maxWaitTimeInMs: 200 }), async (consumer) => {
    await consumer.subscribe({ topics: [topic], fromBeginning })
    const got = []
    await new Promise((resolve, reject) => {
      const limit = setTimeout(() => reject(new Error(`${got.length} of ${count} records came`)), PATIENCE_MS)
      consumer.on(consumer.events.GROUP_JOIN, () => place(consumer).catch(reject))
      consumer.run({
        autoCommit: false,
        eachMessage: async ({ message }) => {
          got.push(message)
          if (got.length === count) {
            clearTimeout(limit)
            resolve()
          }
        },
      }).catch(reject)
    })
    return got
  })
}

const produceWith = (compression) => async (broker, topic) => {
  await create(broker, topic, 1)
  const offsets = await produce(broker, topic, numbered(), compression)
  return { offsets, read: values(await read(broker, topic, RECORD_COUNT)) }
}

async function records(broker, topic) {
  await create(broker, topic, 1)
  const timestamp = '1234567'
  await produce(broker, topic, [
    { key: null, value: 'no key', partition: 0, timestamp },
    { key: 'gone', value: null, partition: 0, timestamp },
    { key: '', value: '', partition: 0, timestamp, headers: { h: ['1', '2'] } },
  ])
  const got = await read(broker, topic, 3)
  return {
    records: got.map(({ key, value, timestamp: when, headers }) => ({
      key: text(key), value: text(value), timestamp: Number(when),
      headers: Object.entries(headers).flatMap(([name, many]) => [].concat(many).map((one) => [name, text(one)])),
    })),
  }
}

const readFrom = (offset) => async (broker, topic) => {
  await create(broker, topic, 1)
  await produce(broker, topic, numbered())
  const place = async (consumer) => consumer.seek({ topic, partition: 0, offset: String(offset) })
  return { read: values(await read(broker, topic, RECORD_COUNT - offset, offset ? { place } : {})) }
}

const ends = (broker, topic) =>
  withAdmin(broker, async (admin) => {
    const [{ low, high }] = await admin.fetchTopicOffsets(topic)
    return [Number(low), Number(high)]
  })

async function timestamp(broker, topic) {
  await create(broker, topic, 1)
  await produce(broker, topic, numbered())
  const offsets = []
  await withAdmin(broker, async (admin) => {
    for (const when of [0, 1002500, 1009000]) {
      const [{ offset }] = await admin.fetchTopicOffsetsByTimestamp(topic, when)
      offsets.push(Number(offset))
    }
  })
  // What is later than every record is the end here, which other clients call nothing.
  const place = async (consumer) => consumer.seek({ topic, partition: 0, offset: String(offsets[1]) })
  const [first] = await read(broker, topic, 1, { place })
  return { offsets: [...offsets, null], first: text(first.value) }
}

async function idempotent(broker, topic) {
  await create(broker, topic, 1)
  await connected(client(broker).producer({ idempotent: true, maxInFlightRequests: 1 }), async (producer) => {
    for (const message of numbered()) await producer.send({ topic, messages: [message], acks: -1 })
  })
  const got = await read(broker, topic, RECORD_COUNT)
  return { read: values(got), end: (await ends(broker, topic))[1] }
}

// An error that tells of several items holds theirs; one that gave up holds the last try's.
function rootOf(error) {
  if (error.errors) return error.errors[0]
  if (error.groups) return error.groups[0].error
  if (error.partitions) return error.partitions[0].error
  return error.code === undefined && error.cause ? rootOf(error.cause) : error
}

async function code(call) {
  try {
    const answer = await call()
    return answer === false ? 36 : 0
  } catch (error) {
    const cause = rootOf(error)
    if (cause.code === undefined) throw error
    return cause.code
  }
}

async function adminTopics(broker, topic) {
  return withAdmin(broker, async (admin) => {
    const count = async () => (await admin.fetchTopicMetadata({ topics: [topic] })).topics[0].partitions.length
    const make = (name, one) => admin.createTopics({ topics: [{ topic: name, ...one }] })
    const grow = (to) => admin.createPartitions({ topicPartitions: [{ topic, count: to }] })
    await make(topic, { numPartitions: 3 })
    const created = await count()
    const again = await code(() => make(topic, {}))
    const invalid = await code(() => make('not-ä-name', {}))
    const copies = await code(() => make(`${topic}-copies`, { replicationFactor: 3 }))
    await grow(5)
    const grown = await count()
    const shrunk = await code(() => grow(4))
    await admin.deleteTopics({ topics: [topic] })
    const missing = await code(() => admin.deleteTopics({ topics: [topic] }))
    return { created, again, invalid, copies, grown, shrunk, missing }
  })
}

const SOURCES = { 1: 'DYNAMIC_TOPIC_CONFIG', 4: 'STATIC_BROKER_CONFIG', 5: 'DEFAULT_CONFIG' }

async function adminConfigs(broker, topic) {
  await create(broker, topic, 1)
  const resource = { type: ConfigResourceTypes.TOPIC, name: topic }
  return withAdmin(broker, async (admin) => {
    const retention = async () => {
      const described = await admin.describeConfigs({ resources: [{ ...resource, configNames: ['retention.ms'] }] })
      const [entry] = described.resources[0].configEntries
      return [entry.configValue, SOURCES[entry.configSource]]
    }
    const alter = (name, value) =>
      admin.alterConfigs({ validateOnly: false, resources: [{ ...resource, configEntries: [{ name, value }] }] })
    const before = await retention()
    await alter('retention.ms', '12345')
    const after = await retention()
    const malformed = await code(() => alter('retention.ms', 'soon'))
    const unknown = await code(() => alter('no.such.config', '1'))
    return { before, after, malformed, unknown }
  })
}

async function adminGroups(broker, topic) {
  await create(broker, topic, 1)
  await produce(broker, topic, numbered())
  const groupId = `${topic}-group`
  return withAdmin(broker, async (admin) => {
    const describe = async () => (await admin.describeGroups([groupId])).groups[0]
    let stable, busy
    await connected(client(broker).consumer({ groupId, maxWaitTimeInMs: 200 }), async (consumer) => {
      await consumer.subscribe({ topics: [topic], fromBeginning: true })
      let seen = 0
      await new Promise((resolve, reject) => {
        consumer.run({
          autoCommit: false,
          eachMessage: async () => { if (++seen === RECORD_COUNT) resolve() },
        }).catch(reject)
      })
      await consumer.commitOffsets([{ topic, partition: 0, offset: String(seen) }])
      const group = await describe()
      stable = [group.state, group.members.length]
      busy = await code(() => admin.deleteGroups([groupId]))
    })
    const empty = (await describe()).state
    const listed = (await admin.listGroups()).groups.some((group) => group.groupId === groupId)
    const [{ partitions }] = await admin.fetchOffsets({ groupId, topics: [topic] })
    await admin.deleteGroups([groupId])
    const gone = await code(() => admin.deleteGroups([groupId]))
    return { stable, busy, empty, listed, committed: Number(partitions[0].offset), gone }
  })
}

async function adminRecords(broker, topic) {
  await create(broker, topic, 1)
  await produce(broker, topic, numbered())
  return withAdmin(broker, async (admin) => {
    const before = (offset) => admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset }] })
    // It deletes records only of topics whose metadata it has happened to load.
    await admin.fetchTopicOffsets(topic)
    await before('4')
    const beyond = await code(() => before('99'))
    const start = (await ends(broker, topic))[0]
    const [first] = await read(broker, topic, 1)
    return { low_watermark: start, beyond, start, first: text(first.value) }
  })
}

const SCENARIOS = {
  'produce-none': produceWith(CompressionTypes.None),
  'produce-gzip': produceWith(CompressionTypes.GZIP),
  'produce-snappy': produceWith(CompressionTypes.Snappy),
  'produce-zstd': produceWith(CompressionTypes.ZSTD),
  records,
  earliest: readFrom(0),
  offset: readFrom(7),
  timestamp,
  idempotent,
  'admin-topics': adminTopics,
  'admin-configs': adminConfigs,
  'admin-groups': adminGroups,
  'admin-records': adminRecords,
}

const UNSUPPORTED = {
  'produce-lz4': 'its codec for lz4 has to be compiled for each machine',
  latest: 'it does not say when it has gone to the end',
}

async function run(broker, prefix, wanted) {
  await zstd.init()
  for (const scenario of wanted) {
    if (!SCENARIOS[scenario]) {
      emit({ scenario, unsupported: UNSUPPORTED[scenario] || 'no such scenario in this client' })
      continue
    }
    try {
      emit({ scenario, observed: await SCENARIOS[scenario](broker, `${prefix}-${scenario}`) })
    } catch (error) {
      emit({ scenario, error: String(error) })
    }
  }
}

// Joins a group, tells its partitions and what it reads, and leaves when its input ends.
async function member(broker, topic, groupId) {
  const consumer = client(broker).consumer({
    groupId, sessionTimeout: 6000, heartbeatInterval: 500, maxWaitTimeInMs: 200, rebalanceTimeout: 6000,
  })
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
    const assigned = payload.memberAssignment[topic] || []
    emit({ assigned: [...assigned].sort((a, b) => a - b) })
  })
  await consumer.connect()
  await consumer.subscribe({ topics: [topic], fromBeginning: true })
  await consumer.run({
    autoCommit: false,
    eachBatch: async ({ batch }) => {
      const offset = String(Number(batch.lastOffset()) + 1)
      await consumer.commitOffsets([{ topic, partition: batch.partition, offset }])
      emit({ read: values(batch.messages) })
    },
  })
  await new Promise((resolve) => process.stdin.on('end', resolve).resume())
  await consumer.disconnect()
  emit({ left: true })
}

const [command, ...words] = process.argv.slice(2)
const main = command === 'member' ? member(...words) : run(words[0], words[1], words.slice(2))
main.then(() => process.exit(0), (error) => {
  process.stderr.write(`${error.stack}\n`)
  process.exit(1)
})

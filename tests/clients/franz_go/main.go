// What franz-go sees of a broker. See ../scenarios.py for the commands and what they print.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sort"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	recordCount = 10
	patience    = 30 * time.Second
	quietTime   = 2 * time.Second
)

type observed map[string]any

type scenario func(ctx context.Context, broker, topic string) (observed, error)

func main() {
	if len(os.Args) < 4 {
		fmt.Fprintln(os.Stderr, "usage: run BROKER PREFIX SCENARIO... | member BROKER TOPIC GROUP")
		os.Exit(2)
	}
	broker, name := os.Args[2], os.Args[3]
	if os.Args[1] == "member" {
		member(broker, name, os.Args[4])
		return
	}
	for _, wanted := range os.Args[4:] {
		report(wanted, broker, name+"-"+wanted)
	}
}

func emit(values observed) {
	line, err := json.Marshal(values)
	if err != nil {
		panic(err)
	}
	fmt.Println(string(line))
}

func report(wanted, broker, topic string) {
	run, known := scenarios()[wanted]
	if !known {
		emit(observed{"scenario": wanted, "unsupported": "no such scenario in this client"})
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	seen, err := run(ctx, broker, topic)
	if err != nil {
		emit(observed{"scenario": wanted, "error": err.Error()})
		return
	}
	emit(observed{"scenario": wanted, "observed": seen})
}

func scenarios() map[string]scenario {
	found := map[string]scenario{
		"records":       records,
		"earliest":      fromStart(kgo.NewOffset().AtStart()),
		"offset":        fromStart(kgo.NewOffset().At(7)),
		"latest":        latest,
		"timestamp":     timestamp,
		"idempotent":    idempotent,
		"admin-topics":  adminTopics,
		"admin-configs": adminConfigs,
		"admin-groups":  adminGroups,
		"admin-records": adminRecords,
	}
	for name, codec := range map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
		"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	} {
		found["produce-"+name] = produceWith(codec)
	}
	return found
}

func client(broker string, options ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(broker)}, options...)...)
}

func create(ctx context.Context, broker, topic string, partitions int32) (*kadm.Client, error) {
	cl, err := client(broker)
	if err != nil {
		return nil, err
	}
	admin := kadm.NewClient(cl)
	answer, err := admin.CreateTopic(ctx, partitions, 1, nil, topic)
	return admin, errors.Join(err, answer.Err)
}

func numbered(topic string, count int) []*kgo.Record {
	made := make([]*kgo.Record, count)
	for i := range made {
		made[i] = &kgo.Record{
			Topic: topic, Key: []byte(fmt.Sprintf("k%d", i)), Value: []byte(fmt.Sprintf("v%d", i)),
			Timestamp: time.UnixMilli(int64(1_000_000 + 1000*i)),
		}
	}
	return made
}

// produce returns the offsets that the broker gave, in order.
func produce(ctx context.Context, broker string, made []*kgo.Record, options ...kgo.Opt) ([]int64, error) {
	cl, err := client(broker, append(options, kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	var offsets []int64
	for _, result := range cl.ProduceSync(ctx, made...) {
		if result.Err != nil {
			return nil, result.Err
		}
		offsets = append(offsets, result.Record.Offset)
	}
	sort.Slice(offsets, func(i, j int) bool { return offsets[i] < offsets[j] })
	return offsets, nil
}

// read returns `count` records of partition 0 from an offset on, and whether none came after them.
func read(ctx context.Context, broker, topic string, from kgo.Offset, count int) ([]*kgo.Record, error) {
	cl, err := client(broker, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: from}}))
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	return poll(ctx, cl, count)
}

func poll(ctx context.Context, cl *kgo.Client, count int) ([]*kgo.Record, error) {
	var got []*kgo.Record
	for len(got) < count {
		fetches := cl.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return nil, err
		}
		got = append(got, fetches.Records()...)
	}
	return got, nil
}

func values(got []*kgo.Record) []string {
	found := make([]string, len(got))
	for i, record := range got {
		found[i] = string(record.Value)
	}
	return found
}

func produceWith(codec kgo.CompressionCodec) scenario {
	return func(ctx context.Context, broker, topic string) (observed, error) {
		admin, err := create(ctx, broker, topic, 1)
		if err != nil {
			return nil, err
		}
		defer admin.Close()
		offsets, err := produce(ctx, broker, numbered(topic, recordCount), kgo.ProducerBatchCompression(codec))
		if err != nil {
			return nil, err
		}
		got, err := read(ctx, broker, topic, kgo.NewOffset().AtStart(), recordCount)
		return observed{"offsets": offsets, "read": values(got)}, err
	}
}

func records(ctx context.Context, broker, topic string) (observed, error) {
	admin, err := create(ctx, broker, topic, 1)
	if err != nil {
		return nil, err
	}
	defer admin.Close()
	when := time.UnixMilli(1_234_567)
	made := []*kgo.Record{
		{Topic: topic, Key: nil, Value: []byte("no key"), Timestamp: when},
		{Topic: topic, Key: []byte("gone"), Value: nil, Timestamp: when},
		{Topic: topic, Key: []byte(""), Value: []byte(""), Timestamp: when,
			Headers: []kgo.RecordHeader{{Key: "h", Value: []byte("1")}, {Key: "h", Value: []byte("2")}}},
	}
	if _, err := produce(ctx, broker, made); err != nil {
		return nil, err
	}
	got, err := read(ctx, broker, topic, kgo.NewOffset().AtStart(), len(made))
	var seen []observed
	for _, record := range got {
		headers := [][]string{}
		for _, header := range record.Headers {
			headers = append(headers, []string{header.Key, string(header.Value)})
		}
		seen = append(seen, observed{
			"key": text(record.Key), "value": text(record.Value),
			"timestamp": record.Timestamp.UnixMilli(), "headers": headers,
		})
	}
	return observed{"records": seen}, err
}

func text(data []byte) any {
	if data == nil {
		return nil
	}
	return string(data)
}

func fromStart(from kgo.Offset) scenario {
	return func(ctx context.Context, broker, topic string) (observed, error) {
		admin, err := create(ctx, broker, topic, 1)
		if err != nil {
			return nil, err
		}
		defer admin.Close()
		if _, err := produce(ctx, broker, numbered(topic, recordCount)); err != nil {
			return nil, err
		}
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		cl, err := client(broker, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: from}}))
		if err != nil {
			return nil, err
		}
		defer cl.Close()
		var got []*kgo.Record
		for len(got) == 0 || got[len(got)-1].Offset < recordCount-1 {
			more, err := poll(ctx, cl, 1)
			if err != nil {
				return nil, err
			}
			got = append(got, more...)
		}
		return observed{"read": values(got)}, nil
	}
}

func latest(ctx context.Context, broker, topic string) (observed, error) {
	admin, err := create(ctx, broker, topic, 1)
	if err != nil {
		return nil, err
	}
	defer admin.Close()
	if _, err := produce(ctx, broker, numbered(topic, recordCount)); err != nil {
		return nil, err
	}
	ends, err := admin.ListEndOffsets(ctx, topic)
	if err != nil {
		return nil, err
	}
	end, _ := ends.Lookup(topic, 0)
	cl, err := client(broker, kgo.ConsumePartitions(
		map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AtEnd()}}))
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	// The first poll settles where the end is; nothing is there yet.
	first, stop := context.WithTimeout(ctx, quietTime)
	before := cl.PollFetches(first).Records()
	stop()
	if _, err := produce(ctx, broker, []*kgo.Record{{Topic: topic, Value: []byte("new")}}); err != nil {
		return nil, err
	}
	got, err := poll(ctx, cl, 1)
	return observed{"end": end.Offset, "read": values(append(before, got...))}, err
}

func timestamp(ctx context.Context, broker, topic string) (observed, error) {
	admin, err := create(ctx, broker, topic, 1)
	if err != nil {
		return nil, err
	}
	defer admin.Close()
	if _, err := produce(ctx, broker, numbered(topic, recordCount)); err != nil {
		return nil, err
	}
	found := []any{}
	for _, when := range []int64{0, 1_002_500, 1_009_000, 9_999_999} {
		offsets, err := admin.ListOffsetsAfterMilli(ctx, when, topic)
		if err != nil {
			return nil, err
		}
		answer, _ := offsets.Lookup(topic, 0)
		if answer.Timestamp == -1 {
			// franz-go asks for the end when nothing is as late.
			found = append(found, nil)
		} else {
			found = append(found, answer.Offset)
		}
	}
	got, err := read(ctx, broker, topic, kgo.NewOffset().AfterMilli(1_002_500), 1)
	if err != nil {
		return nil, err
	}
	return observed{"offsets": found, "first": string(got[0].Value)}, nil
}

func idempotent(ctx context.Context, broker, topic string) (observed, error) {
	admin, err := create(ctx, broker, topic, 1)
	if err != nil {
		return nil, err
	}
	defer admin.Close()
	cl, err := client(broker)
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	for _, record := range numbered(topic, recordCount) {
		if err := cl.ProduceSync(ctx, record).FirstErr(); err != nil {
			return nil, err
		}
	}
	got, err := read(ctx, broker, topic, kgo.NewOffset().AtStart(), recordCount)
	if err != nil {
		return nil, err
	}
	ends, err := admin.ListEndOffsets(ctx, topic)
	end, _ := ends.Lookup(topic, 0)
	return observed{"read": values(got), "end": end.Offset}, err
}

func code(err error) int16 {
	var known *kerr.Error
	if errors.As(err, &known) {
		return known.Code
	}
	if err != nil {
		return -2
	}
	return 0
}

func partitionCount(ctx context.Context, admin *kadm.Client, topic string) (int, error) {
	topics, err := admin.ListTopics(ctx, topic)
	return len(topics[topic].Partitions), err
}

func adminTopics(ctx context.Context, broker, topic string) (observed, error) {
	admin, err := create(ctx, broker, topic, 3)
	if err != nil {
		return nil, err
	}
	defer admin.Close()
	created, err := partitionCount(ctx, admin, topic)
	if err != nil {
		return nil, err
	}
	again, err := admin.CreateTopic(ctx, 1, 1, nil, topic)
	if err != nil && again.Err == nil {
		return nil, err
	}
	_, invalid := admin.CreateTopic(ctx, 1, 1, nil, "not a name")
	_, copies := admin.CreateTopic(ctx, 1, 3, nil, topic+"-copies")
	grown, err := admin.UpdatePartitions(ctx, 5, topic)
	if err != nil || grown.Error() != nil {
		return nil, errors.Join(err, grown.Error())
	}
	after, err := partitionCount(ctx, admin, topic)
	if err != nil {
		return nil, err
	}
	shrunk, err := admin.UpdatePartitions(ctx, 4, topic)
	if err != nil {
		return nil, err
	}
	deleted, err := admin.DeleteTopics(ctx, topic)
	if err != nil || deleted.Error() != nil {
		return nil, errors.Join(err, deleted.Error())
	}
	missing, err := admin.DeleteTopics(ctx, topic)
	return observed{
		"created": created, "again": code(again.Err), "invalid": code(invalid), "copies": code(copies),
		"grown": after, "shrunk": code(shrunk.Error()), "missing": code(missing.Error()),
	}, err
}

func adminConfigs(ctx context.Context, broker, topic string) (observed, error) {
	admin, err := create(ctx, broker, topic, 1)
	if err != nil {
		return nil, err
	}
	defer admin.Close()
	describe := func() (string, string, error) {
		found, err := admin.DescribeTopicConfigs(ctx, topic)
		if err != nil {
			return "", "", err
		}
		for _, config := range found[0].Configs {
			if config.Key == "retention.ms" {
				return config.MaybeValue(), config.Source.String(), nil
			}
		}
		return "", "", errors.New("there is no retention.ms")
	}
	alter := func(op kadm.IncrementalOp, name, value string) (int16, error) {
		answers, err := admin.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Op: op, Name: name, Value: &value}}, topic)
		if err != nil {
			return 0, err
		}
		return code(answers[0].Err), nil
	}
	before, beforeSource, err := describe()
	if err != nil {
		return nil, err
	}
	if _, err := alter(kadm.SetConfig, "retention.ms", "12345"); err != nil {
		return nil, err
	}
	after, afterSource, err := describe()
	if err != nil {
		return nil, err
	}
	malformed, err := alter(kadm.SetConfig, "retention.ms", "soon")
	if err != nil {
		return nil, err
	}
	unknown, err := alter(kadm.SetConfig, "no.such.config", "1")
	return observed{
		"before": []string{before, beforeSource}, "after": []string{after, afterSource},
		"malformed": malformed, "unknown": unknown,
	}, err
}

func adminGroups(ctx context.Context, broker, topic string) (observed, error) {
	admin, err := create(ctx, broker, topic, 1)
	if err != nil {
		return nil, err
	}
	defer admin.Close()
	if _, err := produce(ctx, broker, numbered(topic, recordCount)); err != nil {
		return nil, err
	}
	group := topic + "-group"
	cl, err := client(broker, kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), kgo.DisableAutoCommit(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return nil, err
	}
	if _, err := poll(ctx, cl, recordCount); err != nil {
		return nil, err
	}
	if err := cl.CommitUncommittedOffsets(ctx); err != nil {
		return nil, err
	}
	state := func() (string, int, error) {
		groups, err := admin.DescribeGroups(ctx, group)
		if err != nil {
			return "", 0, err
		}
		return groups[group].State, len(groups[group].Members), nil
	}
	stable, members, err := state()
	if err != nil {
		return nil, err
	}
	busy, err := admin.DeleteGroup(ctx, group)
	if err != nil && busy.Err == nil {
		return nil, err
	}
	cl.Close()
	empty, _, err := state()
	if err != nil {
		return nil, err
	}
	listed, err := admin.ListGroups(ctx)
	if err != nil {
		return nil, err
	}
	_, isListed := listed[group]
	offsets, err := admin.FetchOffsets(ctx, group)
	if err != nil {
		return nil, err
	}
	committed, _ := offsets.Lookup(topic, 0)
	if _, err := admin.DeleteGroup(ctx, group); err != nil {
		return nil, err
	}
	gone, err := admin.DeleteGroup(ctx, group)
	if err != nil && gone.Err == nil {
		return nil, err
	}
	return observed{
		"stable": []any{stable, members}, "busy": code(busy.Err), "empty": empty, "listed": isListed,
		"committed": committed.At, "gone": code(gone.Err),
	}, nil
}

func adminRecords(ctx context.Context, broker, topic string) (observed, error) {
	admin, err := create(ctx, broker, topic, 1)
	if err != nil {
		return nil, err
	}
	defer admin.Close()
	if _, err := produce(ctx, broker, numbered(topic, recordCount)); err != nil {
		return nil, err
	}
	before := kadm.Offsets{}
	before.AddOffset(topic, 0, 4, -1)
	deleted, err := admin.DeleteRecords(ctx, before)
	if err != nil {
		return nil, err
	}
	answer, _ := deleted.Lookup(topic, 0)
	beyond := kadm.Offsets{}
	beyond.AddOffset(topic, 0, 99, -1)
	refused, err := admin.DeleteRecords(ctx, beyond)
	if err != nil {
		return nil, err
	}
	refusal, _ := refused.Lookup(topic, 0)
	starts, err := admin.ListStartOffsets(ctx, topic)
	if err != nil {
		return nil, err
	}
	start, _ := starts.Lookup(topic, 0)
	got, err := read(ctx, broker, topic, kgo.NewOffset().AtStart(), 1)
	if err != nil {
		return nil, err
	}
	return observed{
		"low_watermark": answer.LowWatermark, "beyond": code(refusal.Err), "start": start.Offset,
		"first": string(got[0].Value),
	}, nil
}

// member joins a group, tells its partitions and what it reads, and leaves when its input ends.
func member(broker, topic, group string) {
	told := func(kind string) func(context.Context, *kgo.Client, map[string][]int32) {
		return func(_ context.Context, _ *kgo.Client, changed map[string][]int32) {
			emit(observed{kind: sorted(changed[topic])})
		}
	}
	cl, err := client(broker, kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), kgo.DisableAutoCommit(),
		kgo.Balancers(kgo.RangeBalancer()), kgo.SessionTimeout(6*time.Second), kgo.HeartbeatInterval(500*time.Millisecond),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.OnPartitionsAssigned(told("assigned")))
	if err != nil {
		panic(err)
	}
	ctx, leave := context.WithCancel(context.Background())
	go func() {
		bufio.NewScanner(os.Stdin).Scan()
		leave()
	}()
	for ctx.Err() == nil {
		fetches := cl.PollFetches(ctx)
		got := values(fetches.Records())
		if len(got) == 0 {
			continue
		}
		if err := cl.CommitUncommittedOffsets(ctx); err != nil {
			emit(observed{"error": err.Error()})
			continue
		}
		emit(observed{"read": got})
	}
	cl.Close()
	emit(observed{"left": true})
}

func sorted(partitions []int32) []int32 {
	found := append([]int32{}, partitions...)
	sort.Slice(found, func(i, j int) bool { return found[i] < found[j] })
	return found
}

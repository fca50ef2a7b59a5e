// Many connections, each with one small Produce request in flight; frames are made by hand, once.
//
//	load -address HOST:PORT -topic T -connections N -seconds S          as fast as they are answered
//	load -address HOST:PORT -topic T -connections N -seconds S -rate R  R requests a second on each
//	load … -rate R -stamped                                             values begin with when they were sent
//	load -address HOST:PORT -topic T -first                             one request, as soon as can be
//	load -answer PORT                                                   a server that only answers
//
// With several addresses, with commas between them, connections take turns. The last is the generator's own limit: no broker can do less than to answer.
package main

import (
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"os"
	"sort"
	"strings"
	"sync"
	"syscall"
	"time"
)

var recordBytes = 100

const (
	connectPause   = 2 * time.Millisecond
	firstPatience  = 60 * time.Second
	answerPatience = 30 * time.Second
	frameBytesMax  = 1 << 20
	stampBytes     = 8
)

func main() {
	address := flag.String("address", "127.0.0.1:9092", "where brokers listen")
	topic := flag.String("topic", "load", "an existing topic")
	partitions := flag.Int("partitions", 4, "partitions of the topic")
	connections := flag.Int("connections", 50, "connections")
	seconds := flag.Float64("seconds", 5, "how long")
	rate := flag.Float64("rate", 0, "requests a second on each connection; 0: as many as are answered")
	stamped := flag.Bool("stamped", false, "values begin with the nanoseconds since 1970, big-endian")
	bytes := flag.Int("bytes", recordBytes, "of the one record in each request")
	first := flag.Bool("first", false, "create the topic, and end with the first answer")
	answer := flag.Int("answer", 0, "only answer, on this port")
	flag.Parse()
	recordBytes = max(*bytes, stampBytes)
	switch {
	case *answer != 0:
		serve(*answer)
	case *first:
		firstRecord(*address, *topic)
	default:
		run(strings.Split(*address, ","), *topic, *partitions, *connections, *seconds, *rate, *stamped)
	}
}

// Frames ---------------------------------------------------------------------------------------

func putString(out []byte, text string) []byte {
	return append(binary.BigEndian.AppendUint16(out, uint16(len(text))), text...)
}

func header(key, version uint16) []byte {
	out := make([]byte, 4, 512)
	out = binary.BigEndian.AppendUint16(out, key)
	out = binary.BigEndian.AppendUint16(out, version)
	out = binary.BigEndian.AppendUint32(out, 7)
	return putString(out, "load")
}

func sized(frame []byte) []byte {
	binary.BigEndian.PutUint32(frame, uint32(len(frame)-4))
	return frame
}

// A batch of one record, without key and headers.
func batch() []byte {
	sent := time.Now()
	now := uint64(sent.UnixMilli())
	record := []byte{0, 0, 0, 1} // attributes, timestamp delta, offset delta, no key
	record = binary.AppendVarint(record, int64(recordBytes))
	record = binary.BigEndian.AppendUint64(record, uint64(sent.UnixNano()))
	for place := stampBytes; place < recordBytes; place++ {
		record = append(record, byte(place*37))
	}
	record = append(record, 0)
	body := []byte{0, 0, 0, 0, 0, 0} // attributes, last offset delta
	body = binary.BigEndian.AppendUint64(body, now)
	body = binary.BigEndian.AppendUint64(body, now)
	body = binary.BigEndian.AppendUint64(body, ^uint64(0)) // no producer id, epoch, sequence
	body = binary.BigEndian.AppendUint16(body, ^uint16(0))
	body = binary.BigEndian.AppendUint32(body, ^uint32(0))
	body = binary.BigEndian.AppendUint32(body, 1)
	body = binary.AppendVarint(body, int64(len(record)))
	body = append(body, record...)
	out := make([]byte, 8, 256) // base offset
	out = binary.BigEndian.AppendUint32(out, uint32(len(body)+9))
	out = binary.BigEndian.AppendUint32(out, 0) // leader epoch
	out = append(out, 2)
	out = binary.BigEndian.AppendUint32(out, crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)))
	return append(out, body...)
}

// Produce version 9, acks=all, for one partition.
func produce(topic string, partition int) []byte {
	records := batch()
	out := append(header(0, 9), 0, 0) // no tagged fields, no transactional id
	out = binary.BigEndian.AppendUint16(out, ^uint16(0))
	out = binary.BigEndian.AppendUint32(out, 30000)
	out = append(out, 2) // counts and sizes of compact fields are one more
	out = binary.AppendUvarint(out, uint64(len(topic)+1))
	out = append(append(out, topic...), 2)
	out = binary.BigEndian.AppendUint32(out, uint32(partition))
	out = binary.AppendUvarint(out, uint64(len(records)+1))
	return sized(append(append(out, records...), 0, 0, 0))
}

// Metadata version 4 for one topic, which may be created.
func metadata(topic string) []byte {
	out := header(3, 4)
	out = binary.BigEndian.AppendUint32(out, 1)
	return sized(append(putString(out, topic), 1))
}

func readFrame(conn net.Conn, buffer []byte) ([]byte, error) {
	if _, err := io.ReadFull(conn, buffer[:4]); err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint32(buffer)
	if size > uint32(len(buffer)) {
		return nil, fmt.Errorf("an answer of %d bytes", size)
	}
	_, err := io.ReadFull(conn, buffer[:size])
	return buffer[:size], err
}

// The error code of the one partition in the answer to `produce`; the name has less than 127 bytes.
func errorCode(answer []byte) int16 {
	nameBytes := int(answer[6]) - 1
	return int16(binary.BigEndian.Uint16(answer[7+nameBytes+1+4:]))
}

// The load -------------------------------------------------------------------------------------

func dial(address string) net.Conn {
	deadline := time.Now().Add(firstPatience)
	for {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			return conn
		}
		if time.Now().After(deadline) {
			fail(err)
		}
		time.Sleep(connectPause)
	}
}

func ask(conn net.Conn, request, buffer []byte) ([]byte, error) {
	conn.SetDeadline(time.Now().Add(answerPatience))
	if _, err := conn.Write(request); err != nil {
		return nil, err
	}
	return readFrame(conn, buffer)
}

func worker(conn net.Conn, request func() []byte, start time.Time, seconds float64, interval time.Duration) ([]time.Duration, error) {
	buffer := make([]byte, 4096)
	var taken []time.Duration
	end := start.Add(time.Duration(seconds * float64(time.Second)))
	for due := start; due.Before(end); {
		time.Sleep(time.Until(due))
		answer, err := ask(conn, request(), buffer)
		if err != nil {
			return taken, err
		}
		if code := errorCode(answer); code != 0 {
			return taken, fmt.Errorf("error code %d", code)
		}
		now := time.Now()
		taken = append(taken, now.Sub(due))
		if interval > 0 {
			due = due.Add(interval)
		} else {
			due = now
		}
	}
	return taken, nil
}

func run(addresses []string, topic string, partitions, connections int, seconds, rate float64, stamped bool) {
	var interval time.Duration
	if rate > 0 {
		interval = time.Duration(float64(time.Second) / rate)
	}
	conns := make([]net.Conn, connections)
	for number := range conns {
		conns[number] = dial(addresses[number%len(addresses)])
	}
	all := make([][]time.Duration, connections)
	failures := make([]error, connections)
	var running sync.WaitGroup
	start := time.Now()
	for number := range conns {
		running.Add(1)
		go func(number int) {
			defer running.Done()
			// Those with a rate do not ask all at the same moment.
			begin := start.Add(interval * time.Duration(number) / time.Duration(connections))
			made := produce(topic, number%partitions)
			request := func() []byte {
				if stamped {
					return produce(topic, number%partitions)
				}
				return made
			}
			all[number], failures[number] = worker(conns[number], request, begin, seconds, interval)
		}(number)
	}
	running.Wait()
	report(all, failures, time.Since(start).Seconds())
}

func report(all [][]time.Duration, failures []error, seconds float64) {
	var taken []time.Duration
	for number := range all {
		taken = append(taken, all[number]...)
		if failures[number] != nil {
			fail(failures[number])
		}
	}
	sort.Slice(taken, func(i, j int) bool { return taken[i] < taken[j] })
	milliseconds := func(share float64) float64 {
		return float64(taken[int(share*float64(len(taken)-1))].Microseconds()) / 1000
	}
	json.NewEncoder(os.Stdout).Encode(map[string]float64{
		"requests_per_s": float64(len(taken)) / seconds,
		"p50_ms":         milliseconds(0.5),
		"p99_ms":         milliseconds(0.99),
		"own_cpu_s":      ownCPU(),
		"seconds":        seconds,
	})
}

func ownCPU() float64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		fail(err)
	}
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1e9
}

func firstRecord(address, topic string) {
	buffer := make([]byte, frameBytesMax)
	for deadline := time.Now().Add(firstPatience); time.Now().Before(deadline); {
		conn := dial(address)
		for {
			if _, err := ask(conn, metadata(topic), buffer); err != nil {
				break
			}
			answer, err := ask(conn, produce(topic, 0), buffer)
			if err != nil {
				break
			}
			if errorCode(answer) == 0 {
				return
			}
			time.Sleep(connectPause)
		}
		conn.Close()
	}
	fail(fmt.Errorf("no acknowledged record within %s", firstPatience))
}

// The server that only answers -----------------------------------------------------------------

func serve(port int) {
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		fail(err)
	}
	for {
		conn, err := listener.Accept()
		if err != nil {
			fail(err)
		}
		go answerAll(conn)
	}
}

func answerAll(conn net.Conn) {
	defer conn.Close()
	buffer := make([]byte, 4096)
	// After the size and the number: no tags, one topic without a name, one partition, no error.
	answer := make([]byte, 4+4+1+1+1+1+4+2+8+8+8+1+1+1+1+4+1)
	answer[9], answer[10], answer[11] = 2, 1, 2
	sized(answer)
	for {
		if _, err := readFrame(conn, buffer); err != nil {
			return
		}
		if _, err := conn.Write(answer); err != nil {
			return
		}
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

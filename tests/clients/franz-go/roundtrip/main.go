// Command roundtrip lets franz-go produce lines to a topic and print a topic's records.
//
//	roundtrip produce --bootstrap HOST:PORT --topic T --codec none|gzip|snappy|lz4|zstd  < key<TAB>value lines
//	roundtrip consume --bootstrap HOST:PORT --topic T --partitions N --records N
//
// consume prints partition<TAB>offset<TAB>key<TAB>value, as every client of the suite does.
package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const deadline = 60 * time.Second

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "roundtrip:", err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	if len(arguments) == 0 {
		return errors.New("say produce or consume")
	}
	flags := flag.NewFlagSet(arguments[0], flag.ContinueOnError)
	bootstrap := flags.String("bootstrap", "", "host:port of a broker")
	topic := flags.String("topic", "", "topic")
	codec := flags.String("codec", "none", "compression of the produced batches")
	partitions := flags.Int("partitions", 1, "partitions to consume")
	records := flags.Int("records", 0, "records to consume before the end")
	if err := flags.Parse(arguments[1:]); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	switch arguments[0] {
	case "produce":
		return produce(ctx, *bootstrap, *topic, *codec)
	case "consume":
		return consume(ctx, *bootstrap, *topic, *partitions, *records)
	default:
		return fmt.Errorf("no command %q", arguments[0])
	}
}

func produce(ctx context.Context, bootstrap, topic, codec string) error {
	codecs := map[string]kgo.CompressionCodec{
		"none":   kgo.NoCompression(),
		"gzip":   kgo.GzipCompression(),
		"snappy": kgo.SnappyCompression(),
		"lz4":    kgo.Lz4Compression(),
		"zstd":   kgo.ZstdCompression(),
	}
	chosen, known := codecs[codec]
	if !known {
		return fmt.Errorf("no codec %q", codec)
	}
	client, err := kgo.NewClient(
		kgo.SeedBrokers(bootstrap),
		kgo.DefaultProduceTopic(topic),
		kgo.AllowAutoTopicCreation(),
		// A topic that has just been made is asked for again at once, not after seconds.
		kgo.MetadataMinAge(50*time.Millisecond),
		kgo.ProducerBatchCompression(chosen),
		kgo.ProducerLinger(50*time.Millisecond),
	)
	if err != nil {
		return err
	}
	defer client.Close()
	var first firstError
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		key, value, found := strings.Cut(lines.Text(), "\t")
		if !found {
			return fmt.Errorf("no tab in %q", lines.Text())
		}
		record := &kgo.Record{
			Key:     []byte(key),
			Value:   []byte(value),
			Headers: []kgo.RecordHeader{{Key: "client", Value: []byte("franz-go")}},
		}
		client.Produce(ctx, record, func(_ *kgo.Record, err error) { first.keep(err) })
	}
	if err := lines.Err(); err != nil {
		return err
	}
	if err := client.Flush(ctx); err != nil {
		return err
	}
	return first.error
}

// firstError keeps the first error of the promises, which franz-go calls one at a time.
type firstError struct{ error }

func (e *firstError) keep(err error) {
	if e.error == nil {
		e.error = err
	}
}

func consume(ctx context.Context, bootstrap, topic string, partitions, records int) error {
	start := make(map[int32]kgo.Offset, partitions)
	for partition := range int32(partitions) {
		start[partition] = kgo.NewOffset().AtStart()
	}
	client, err := kgo.NewClient(
		kgo.SeedBrokers(bootstrap),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: start}),
	)
	if err != nil {
		return err
	}
	defer client.Close()
	out := bufio.NewWriter(os.Stdout)
	for seen := 0; seen < records; {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return fmt.Errorf("after %d of %d records: %w", seen, records, err)
		}
		for record := range fetches.RecordsAll() {
			if bytes.ContainsAny(record.Value, "\t\n") {
				return fmt.Errorf("the value at offset %d does not fit a line", record.Offset)
			}
			fmt.Fprintf(out, "%d\t%d\t%s\t%s\n",
				record.Partition, record.Offset, record.Key, record.Value)
			seen++
		}
	}
	return out.Flush()
}

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

var codecs = map[string]kgo.CompressionCodec{
	"none":   kgo.NoCompression(),
	"gzip":   kgo.GzipCompression(),
	"snappy": kgo.SnappyCompression(),
	"lz4":    kgo.Lz4Compression(),
	"zstd":   kgo.ZstdCompression(),
}

// produce sends every flight idempotently, with acks from all replicas. When a third is acknowledged it
// calls afterThird.
func produce(ctx context.Context, s settings, flights *source, afterThird func() error) (*pass, error) {
	codec, known := codecs[s.codec]
	if !known {
		return nil, fmt.Errorf("no codec %q", s.codec)
	}
	client, err := kgo.NewClient(
		kgo.SeedBrokers(s.bootstrap),
		kgo.DefaultProduceTopic(s.topic),
		kgo.ProducerBatchCompression(codec),
		kgo.ProducerLinger(5*time.Millisecond),
		kgo.MaxBufferedRecords(200_000),
	)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	bar := newBar("produce", flights.total)
	done := newPass("franz-go producer", s.partitions)
	started := time.Now()
	// Promises of one client are called one at a time, and those of a partition in offset order.
	promise := func(record *kgo.Record, err error) {
		if err == nil {
			err = done.add(record.Partition, record.Offset, record.Key, record.Value)
		}
		if err == nil {
			bar.step()
			if bar.done == flights.total/3 {
				err = afterThird()
			}
		}
		if err != nil {
			cancel(err)
		}
	}
	for {
		key, value, err := flights.record()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		client.Produce(ctx, &kgo.Record{Key: key, Value: value}, promise)
		if ctx.Err() != nil {
			break
		}
	}
	if err := client.Flush(ctx); err != nil {
		return nil, context.Cause(ctx)
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	done.elapsed = time.Since(started)
	bar.finish()
	return done, nil
}

func createTopic(ctx context.Context, s settings) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(s.bootstrap))
	if err != nil {
		return err
	}
	defer client.Close()
	request := kmsg.NewPtrCreateTopicsRequest()
	wanted := kmsg.NewCreateTopicsRequestTopic()
	wanted.Topic, wanted.NumPartitions, wanted.ReplicationFactor = s.topic, int32(s.partitions), 1
	request.Topics = append(request.Topics, wanted)
	request.TimeoutMillis = 30_000
	response, err := request.RequestWith(ctx, client)
	if err != nil {
		return err
	}
	for _, created := range response.Topics {
		if err := kerr.ErrorForCode(created.ErrorCode); err != nil {
			return fmt.Errorf("creating %s: %w", s.topic, err)
		}
	}
	return nil
}

// readFranz reads all partitions from offset 0 with franz-go.
func readFranz(ctx context.Context, s settings, records int) (*pass, error) {
	start := make(map[int32]kgo.Offset, s.partitions)
	for partition := range int32(s.partitions) {
		start[partition] = kgo.NewOffset().At(0)
	}
	client, err := kgo.NewClient(
		kgo.SeedBrokers(s.bootstrap),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{s.topic: start}),
	)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	bar := newBar("read by franz-go", records)
	done := newPass("franz-go consumer", s.partitions)
	started := time.Now()
	for seen := 0; seen < records; {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			return nil, err
		}
		for record := range fetches.RecordsAll() {
			if err := done.add(record.Partition, record.Offset, record.Key, record.Value); err != nil {
				return nil, err
			}
			seen++
			bar.step()
		}
	}
	done.elapsed = time.Since(started)
	bar.finish()
	return done, nil
}

// readKcat reads all partitions from offset 0 to their ends with librdkafka, by way of kcat.
func readKcat(ctx context.Context, s settings, records int) (*pass, error) {
	kcat := exec.CommandContext(ctx, s.kcat, "-C", "-b", s.bootstrap, "-t", s.topic,
		"-o", "beginning", "-e", "-q", "-f", `%p\t%o\t%k\t%s\n`)
	kcat.Stderr = os.Stderr
	lines, err := kcat.StdoutPipe()
	if err != nil {
		return nil, err
	}
	bar := newBar("read by librdkafka", records)
	done := newPass("librdkafka (kcat)", s.partitions)
	started := time.Now()
	if err := kcat.Start(); err != nil {
		return nil, fmt.Errorf("%w; kcat is the second reader, install it", err)
	}
	scanner := bufio.NewScanner(lines)
	scanner.Buffer(make([]byte, 1<<20), 1<<20)
	for scanner.Scan() {
		fields := bytes.SplitN(scanner.Bytes(), []byte{'\t'}, 4)
		if len(fields) != 4 {
			return nil, fmt.Errorf("kcat printed %q", scanner.Text())
		}
		partition, err := strconv.ParseInt(string(fields[0]), 10, 32)
		if err != nil {
			return nil, err
		}
		offset, err := strconv.ParseInt(string(fields[1]), 10, 64)
		if err != nil {
			return nil, err
		}
		if err := done.add(int32(partition), offset, fields[2], fields[3]); err != nil {
			return nil, err
		}
		bar.step()
	}
	if err := errors.Join(scanner.Err(), kcat.Wait()); err != nil {
		return nil, err
	}
	done.elapsed = time.Since(started)
	bar.finish()
	return done, nil
}

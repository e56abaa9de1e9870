// Command flights sends three million real flights through a broker and counts what comes back.
//
// It produces them, keyed by airport of origin, into a topic of eight partitions with franz-go, reads
// the topic from offset 0 with two independent clients (franz-go, and librdkafka by way of kcat), and
// prints what went in and came out, partition by partition. Meanwhile two consumer groups follow; a member
// of one is killed, the other one is reset to offset 0 and replays. It exits with 1 on any difference.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

type settings struct {
	data       string
	records    int
	bootstrap  string
	millrace   string
	kcat       string
	codec      string
	topic      string
	partitions int
	// Of a process that is a member of a group.
	group, member string
}

func main() {
	var s settings
	flag.StringVar(&s.data, "data", "", "flights-3m.parquet of the npm package vega-datasets")
	flag.IntVar(&s.records, "records", 0, "flights to send; 0 sends all")
	flag.StringVar(&s.bootstrap, "bootstrap", "", "broker to use; without it one is started")
	flag.StringVar(&s.millrace, "millrace", "", "the millrace binary to start")
	flag.StringVar(&s.kcat, "kcat", "kcat", "the kcat binary")
	flag.StringVar(&s.codec, "codec", "lz4", "none, gzip, snappy, lz4 or zstd")
	flag.StringVar(&s.topic, "topic", fmt.Sprintf("flights-%d", time.Now().Unix()), "topic, made new")
	flag.IntVar(&s.partitions, "partitions", 8, "partitions of the topic")
	flag.StringVar(&s.group, "group", "", "with --member: the group that it is in")
	flag.StringVar(&s.member, "member", "", "be a member of this name, as the demo's groups have them")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	be := run
	if s.member != "" {
		be = runMember
	}
	if err := be(ctx, s); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, s settings) (err error) {
	if s.bootstrap == "" {
		broker, startErr := startBroker(ctx, s.millrace)
		if startErr != nil {
			return startErr
		}
		defer func() {
			if stopErr := broker.stop(); err == nil {
				err = stopErr
			}
		}()
		s.bootstrap = broker.address
	}
	flights, err := openFlights(s.data, s.records)
	if err != nil {
		return err
	}
	defer flights.close()
	fmt.Printf("%s flights, keyed by airport of origin, into %s (%d partitions, %s) at %s\n",
		grouped(flights.total), s.topic, s.partitions, s.codec, s.bootstrap)

	if err := createTopic(ctx, s); err != nil {
		return err
	}
	follow, err := startFollowers(ctx, s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, follow.stop()) }()
	produced, err := produce(ctx, s, flights, follow.killOne)
	if err != nil {
		return fmt.Errorf("producing: %w", err)
	}
	if err := follow.produced(ctx, produced.ends()); err != nil {
		return err
	}
	readers := make([]*pass, 0, 2)
	for _, read := range []func(context.Context, settings, int) (*pass, error){readFranz, readKcat} {
		one, err := read(ctx, s, flights.total)
		if err != nil {
			return fmt.Errorf("reading: %w", err)
		}
		readers = append(readers, one)
	}
	if err := follow.replay(ctx, produced.ends()); err != nil {
		return err
	}
	if err := report(produced, readers); err != nil {
		return err
	}
	follow.report()
	return nil
}

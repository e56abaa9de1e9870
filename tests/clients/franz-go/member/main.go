// Command member is a member of a group by franz-go.
//
//	member BOOTSTRAP GROUP TOPIC [eager]
//
// It prints `own 0 2` whenever it owns other partitions than before, all it then owns, and
// `record PARTITION OFFSET VALUE` for each record; commits what it has printed. It leaves when its
// standard input ends.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "member:", err)
		os.Exit(1)
	}
}

// owned is what this member owns. Its lines and those of records go out one at a time.
type owned struct {
	sync.Mutex
	partitions []int32
}

func (o *owned) say() {
	line := []string{"own"}
	for _, partition := range o.partitions {
		line = append(line, fmt.Sprint(partition))
	}
	fmt.Println(strings.Join(line, " "))
}

func (o *owned) add(_ context.Context, _ *kgo.Client, topics map[string][]int32) {
	o.Lock()
	defer o.Unlock()
	for _, partitions := range topics {
		o.partitions = append(o.partitions, partitions...)
	}
	slices.Sort(o.partitions)
	o.say()
}

func (o *owned) remove(_ context.Context, _ *kgo.Client, topics map[string][]int32) {
	o.Lock()
	defer o.Unlock()
	for _, partitions := range topics {
		o.partitions = slices.DeleteFunc(o.partitions, func(partition int32) bool {
			return slices.Contains(partitions, partition)
		})
	}
	o.say()
}

func run(arguments []string) error {
	if len(arguments) < 3 {
		return errors.New("say BOOTSTRAP GROUP TOPIC")
	}
	var partitions owned
	options := []kgo.Opt{
		kgo.SeedBrokers(arguments[0]),
		kgo.ConsumerGroup(arguments[1]),
		kgo.ConsumeTopics(arguments[2]),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.OnPartitionsAssigned(partitions.add),
		kgo.OnPartitionsRevoked(partitions.remove),
		kgo.OnPartitionsLost(partitions.remove),
		kgo.SessionTimeout(3 * time.Second),
		kgo.HeartbeatInterval(300 * time.Millisecond),
		kgo.MetadataMinAge(50 * time.Millisecond),
		kgo.FetchMaxWait(100 * time.Millisecond),
		kgo.DisableAutoCommit(),
		kgo.BlockRebalanceOnPoll(),
	}
	if slices.Contains(arguments[3:], "eager") {
		options = append(options, kgo.Balancers(kgo.RangeBalancer()))
	}
	client, err := kgo.NewClient(options...)
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	for ctx.Err() == nil {
		fetches := client.PollFetches(ctx)
		if fetches.IsClientClosed() {
			break
		}
		partitions.Lock()
		for record := range fetches.RecordsAll() {
			fmt.Println("record", record.Partition, record.Offset, string(record.Value))
		}
		partitions.Unlock()
		if !fetches.Empty() {
			if err := client.CommitUncommittedOffsets(context.Background()); err != nil {
				fmt.Fprintln(os.Stderr, "member: commit:", err)
			}
		}
		client.AllowRebalance()
	}
	return nil
}

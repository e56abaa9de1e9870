package main

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// What a member says on stdout, a line each: the partitions that it has from now on, and the offsets of
// one of them that it has read, the last one exclusive.
const (
	saysAssigned = "assigned"
	saysRead     = "read"
)

// sessionTimeout is the shortest that brokers allow by default: so long the partitions of a member that
// was killed stand still.
const sessionTimeout = 6 * time.Second

// runMember is one member of a group, in a process of its own so that it can be killed. It ends, after a
// last commit, when ctx does.
func runMember(ctx context.Context, s settings) error {
	held := &partitionSet{}
	client, err := kgo.NewClient(
		kgo.SeedBrokers(s.bootstrap),
		kgo.ClientID(s.member),
		kgo.ConsumerGroup(s.group),
		kgo.ConsumeTopics(s.topic),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.SessionTimeout(sessionTimeout),
		kgo.HeartbeatInterval(time.Second),
		kgo.AutoCommitInterval(time.Second),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, given map[string][]int32) {
			held.change(given[s.topic], nil)
		}),
		kgo.OnPartitionsRevoked(func(ctx context.Context, client *kgo.Client, taken map[string][]int32) {
			// Whoever has them next need not read again what is read.
			if err := client.CommitUncommittedOffsets(ctx); err != nil {
				fmt.Fprintf(os.Stderr, "%s: %v\n", s.member, err)
			}
			held.change(nil, taken[s.topic])
		}),
		kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, lost map[string][]int32) {
			held.change(nil, lost[s.topic])
		}),
	)
	if err != nil {
		return err
	}
	// Leaves the group, which its broker is to hear of also when ctx has ended.
	defer client.Close()
	for {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			return client.CommitUncommittedOffsets(context.WithoutCancel(ctx))
		}
		if err := fetches.Err(); err != nil {
			return err
		}
		fetches.EachPartition(func(fetched kgo.FetchTopicPartition) {
			if count := len(fetched.Records); count > 0 {
				first, last := fetched.Records[0].Offset, fetched.Records[count-1].Offset
				fmt.Println(saysRead, fetched.Partition, first, last+1)
			}
		})
	}
}

// partitionSet is what a member has; callbacks change it.
type partitionSet struct {
	mutex sync.Mutex
	held  []int32
}

func (p *partitionSet) change(given, taken []int32) {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	p.held = slices.DeleteFunc(p.held, func(one int32) bool { return slices.Contains(taken, one) })
	p.held = append(p.held, given...)
	slices.Sort(p.held)
	fmt.Println(saysAssigned, strings.Trim(fmt.Sprint(p.held), "[]"))
}

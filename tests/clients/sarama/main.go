// Command sarama is a member of a group by sarama.
//
//	sarama BOOTSTRAP GROUP TOPIC
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
	"strings"
	"sync"
	"time"

	"github.com/IBM/sarama"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "sarama:", err)
		os.Exit(1)
	}
}

// member prints one line at a time.
type member struct{ sync.Mutex }

func (m *member) say(line string) {
	m.Lock()
	defer m.Unlock()
	fmt.Println(line)
}

func (m *member) Setup(session sarama.ConsumerGroupSession) error {
	line := []string{"own"}
	for _, partitions := range session.Claims() {
		for _, partition := range partitions {
			line = append(line, fmt.Sprint(partition))
		}
	}
	m.say(strings.Join(line, " "))
	return nil
}

func (m *member) Cleanup(sarama.ConsumerGroupSession) error {
	m.say("own")
	return nil
}

func (m *member) ConsumeClaim(
	session sarama.ConsumerGroupSession,
	claim sarama.ConsumerGroupClaim,
) error {
	for message := range claim.Messages() {
		m.say(fmt.Sprintf("record %d %d %s", message.Partition, message.Offset, message.Value))
		session.MarkMessage(message, "")
		session.Commit()
	}
	return nil
}

func run(arguments []string) error {
	if len(arguments) != 3 {
		return errors.New("say BOOTSTRAP GROUP TOPIC")
	}
	config := sarama.NewConfig()
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	config.Consumer.Offsets.AutoCommit.Enable = false
	config.Consumer.Group.Session.Timeout = 3 * time.Second
	config.Consumer.Group.Heartbeat.Interval = 300 * time.Millisecond
	config.Consumer.MaxWaitTime = 100 * time.Millisecond
	group, err := sarama.NewConsumerGroup([]string{arguments[0]}, arguments[1], config)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	var own member
	for ctx.Err() == nil {
		// A session ends with each rebalance.
		if err := group.Consume(ctx, []string{arguments[2]}, &own); err != nil {
			fmt.Fprintln(os.Stderr, "sarama:", err)
			time.Sleep(100 * time.Millisecond)
		}
	}
	return group.Close()
}

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	membersOfGroup = 3
	// For members to join, to catch up, to hear that another one is gone.
	groupDeadline = 3 * time.Minute
	lookAgain     = 50 * time.Millisecond
)

// group is a consumer group that follows the topic, and what its members say of themselves.
type group struct {
	name string
	// What starts a member, but for its name.
	settings settings

	mutex   sync.Mutex
	members []*member
	// What all members together have read: ranges of offsets, by partition.
	ranges [][]offsetRange
	failed error
}

type member struct {
	name       string
	command    *exec.Cmd
	exited     chan struct{}
	partitions string
	read       int
	killed     bool
}

type offsetRange struct{ from, to int64 }

// startGroup starts the members, and waits until each has partitions.
func startGroup(ctx context.Context, s settings, name string) (*group, error) {
	g := &group{name: name, settings: s, ranges: make([][]offsetRange, s.partitions)}
	for range membersOfGroup {
		if err := g.startMember(); err != nil {
			return nil, errors.Join(err, g.stop())
		}
	}
	err := g.wait(ctx, "all members have partitions", func() bool {
		return !slices.ContainsFunc(g.members, func(m *member) bool { return m.isRunning() && m.partitions == "" })
	})
	if err != nil {
		return nil, errors.Join(err, g.stop())
	}
	return g, nil
}

func (g *group) startMember() error {
	s := g.settings
	m := &member{name: fmt.Sprintf("%s-%d", g.name, len(g.members)+1), exited: make(chan struct{})}
	m.command = exec.Command(os.Args[0], "--member", m.name, "--group", g.name,
		"--bootstrap", s.bootstrap, "--topic", s.topic)
	m.command.Stderr = os.Stderr
	// An interrupt of the terminal is for the demo alone, which ends its members.
	m.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	said, err := m.command.StdoutPipe()
	if err != nil {
		return err
	}
	if err := m.command.Start(); err != nil {
		return err
	}
	g.mutex.Lock()
	g.members = append(g.members, m)
	g.mutex.Unlock()
	go g.follow(m, said)
	return nil
}

// follow takes down what a member says until it has ended.
func (g *group) follow(m *member, said io.Reader) {
	defer close(m.exited)
	lines := bufio.NewScanner(said)
	for lines.Scan() {
		if err := g.heard(m, lines.Text()); err != nil {
			g.fail(fmt.Errorf("%s said %q: %w", m.name, lines.Text(), err))
		}
	}
	err := m.command.Wait()
	if err != nil && !m.killed {
		g.fail(fmt.Errorf("%s: %w", m.name, err))
	}
}

func (g *group) heard(m *member, line string) error {
	what, rest, _ := strings.Cut(line, " ")
	g.mutex.Lock()
	defer g.mutex.Unlock()
	if what == saysAssigned {
		m.partitions = rest
		return nil
	}
	var partition int
	var one offsetRange
	if _, err := fmt.Sscan(rest, &partition, &one.from, &one.to); err != nil {
		return err
	}
	if partition < 0 || partition >= len(g.ranges) {
		return errors.New("no such partition")
	}
	m.read += int(one.to - one.from)
	g.ranges[partition] = append(g.ranges[partition], one)
	return nil
}

func (g *group) fail(err error) {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	if g.failed == nil {
		g.failed = err
	}
}

func (m *member) isRunning() bool {
	select {
	case <-m.exited:
		return false
	default:
		return !m.killed
	}
}

// wait returns when isSo, which is asked with the group locked.
func (g *group) wait(ctx context.Context, what string, isSo func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, groupDeadline)
	defer cancel()
	for {
		g.mutex.Lock()
		done, failed := isSo(), g.failed
		g.mutex.Unlock()
		if done || failed != nil {
			return failed
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("group %s, until %s: %w", g.name, what, ctx.Err())
		case <-time.After(lookAgain):
		}
	}
}

// awaitAll returns when the group has read every record of each partition.
func (g *group) awaitAll(ctx context.Context, ends []int64) error {
	return g.wait(ctx, "it has read everything", func() bool {
		for partition, end := range ends {
			// What was read once is merged: it is looked at often.
			g.ranges[partition] = merged(g.ranges[partition])
			if end > 0 && !slices.Equal(g.ranges[partition], []offsetRange{{0, end}}) {
				return false
			}
		}
		return true
	})
}

func merged(ranges []offsetRange) []offsetRange {
	slices.SortFunc(ranges, func(a, b offsetRange) int { return int(a.from - b.from) })
	out := ranges[:0]
	for _, one := range ranges {
		if last := len(out) - 1; last >= 0 && one.from <= out[last].to {
			out[last].to = max(out[last].to, one.to)
			continue
		}
		out = append(out, one)
	}
	return out
}

// kill ends a member as a crash would: it leaves nothing behind, and tells nobody.
func (g *group) kill(index int) error {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	g.members[index].killed = true
	return g.members[index].command.Process.Kill()
}

// stop has all members commit and leave, and waits for it.
func (g *group) stop() error {
	var failed error
	for _, m := range g.members {
		if !m.isRunning() {
			continue
		}
		if err := m.command.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
			failed = errors.Join(failed, err)
		}
	}
	for _, m := range g.members {
		select {
		case <-m.exited:
		case <-time.After(stopDeadline):
			failed = errors.Join(failed, fmt.Errorf("%s did not stop", m.name), m.command.Process.Kill())
		}
	}
	return failed
}

// results are what the members say now, as long as they run.
func (g *group) results() []memberResult {
	g.mutex.Lock()
	defer g.mutex.Unlock()
	results := make([]memberResult, 0, len(g.members))
	for _, m := range g.members {
		partitions := m.partitions
		if m.killed {
			partitions = "killed"
		}
		results = append(results, memberResult{m.name, partitions, m.read})
	}
	return results
}

// replay resets the stopped group to offset 0 and starts new members. What was read before is forgotten.
func (g *group) replay(ctx context.Context) (*group, error) {
	s := g.settings
	reset := exec.CommandContext(ctx, s.millrace, "group", "reset-offsets", g.name,
		"--topic", s.topic, "--to-offset", "0", "--execute", "--bootstrap-server", s.bootstrap)
	if out, err := reset.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%s: %w: %s", reset, err, out)
	}
	return startGroup(ctx, s, g.name)
}

// lag is how far a group is behind.
type lag struct {
	records int
	seconds float64
}

func (l lag) String() string {
	return fmt.Sprintf("%s, %ss", grouped(l.records), strconv.FormatFloat(l.seconds, 'f', 1, 64))
}

// lag asks the broker how far the group is behind the ends of all partitions.
func (g *group) lag(ctx context.Context, ends []int64) (lag, error) {
	s := g.settings
	describe := exec.CommandContext(ctx, s.millrace, "group", "describe", g.name, "--json",
		"--bootstrap-server", s.bootstrap)
	out, err := describe.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("%w: %s", err, exit.Stderr)
		}
		return lag{}, fmt.Errorf("%s: %w", describe, err)
	}
	var described struct {
		Partitions []struct {
			CommittedOffset int     `json:"committed_offset"`
			LagSeconds      float64 `json:"lag_seconds"`
		} `json:"partitions"`
	}
	if err := json.Unmarshal(out, &described); err != nil {
		return lag{}, fmt.Errorf("%s: %w", describe, err)
	}
	var behind lag
	// Of a partition that nothing was committed of, all is to be read.
	for _, end := range ends {
		behind.records += int(end)
	}
	for _, partition := range described.Partitions {
		behind.records -= partition.CommittedOffset
		behind.seconds = max(behind.seconds, partition.LagSeconds)
	}
	return behind, nil
}

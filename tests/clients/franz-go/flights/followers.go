package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// followers are the two groups that read the topic while it is written.
type followers struct {
	running []*group
	results []*groupResult
}

// groupResult is what one group came to.
type groupResult struct {
	what    string
	members []memberResult
	// When all was produced, and when all was read.
	lagBehind, lagAfter lag
	records             int
	elapsed             time.Duration
}

type memberResult struct {
	name       string
	partitions string
	read       int
}

func startFollowers(ctx context.Context, s settings) (*followers, error) {
	f := &followers{}
	for _, name := range []string{"departures", "delays"} {
		g, err := startGroup(ctx, s, name)
		if err != nil {
			return nil, errors.Join(err, f.stop())
		}
		f.running = append(f.running, g)
	}
	return f, nil
}

// killOne ends one member of the first group as a crash would.
func (f *followers) killOne() error {
	return f.running[0].kill(1)
}

// produced notes how far each group is behind, now that there is no more to come.
func (f *followers) produced(ctx context.Context, ends []int64) error {
	for _, g := range f.running {
		behind, err := g.lag(ctx, ends)
		if err != nil {
			return err
		}
		f.results = append(f.results, &groupResult{what: g.name, lagBehind: behind})
	}
	return nil
}

// replay waits until both groups have read everything; then the second one is reset to offset 0, and
// reads everything again. On return all members have stopped.
func (f *followers) replay(ctx context.Context, ends []int64) error {
	for i, g := range f.running {
		if err := f.results[i].finish(ctx, g, ends); err != nil {
			return err
		}
	}
	started := time.Now()
	again, err := f.running[1].replay(ctx)
	if err != nil {
		return err
	}
	f.running = append(f.running, again)
	result := &groupResult{what: again.name + ", reset to 0"}
	result.lagBehind.records = result.recordsOf(ends)
	if err := result.finish(ctx, again, ends); err != nil {
		return err
	}
	result.elapsed = time.Since(started)
	f.results = append(f.results, result)
	return nil
}

func (r *groupResult) recordsOf(ends []int64) int {
	sum := 0
	for _, end := range ends {
		sum += int(end)
	}
	return sum
}

// finish waits until g has read everything, stops it, and takes down what its members say.
func (r *groupResult) finish(ctx context.Context, g *group, ends []int64) error {
	if err := g.awaitAll(ctx, ends); err != nil {
		return err
	}
	r.records = r.recordsOf(ends)
	r.members = g.results()
	if err := g.stop(); err != nil {
		return err
	}
	var err error
	r.lagAfter, err = g.lag(ctx, ends)
	if err == nil && r.lagAfter.records != 0 {
		err = fmt.Errorf("group %s has read everything, and is behind by %s", g.name, r.lagAfter)
	}
	return err
}

func (f *followers) stop() error {
	var failed error
	for _, g := range f.running {
		failed = errors.Join(failed, g.stop())
	}
	return failed
}

// report prints what each member has read, and what became of each group.
func (f *followers) report() {
	fmt.Printf("\n%-22s %-14s %-18s %12s\n", "group", "member", "partitions", "read")
	for _, r := range f.results {
		for i, m := range r.members {
			name := ""
			if i == 0 {
				name = r.what
			}
			fmt.Printf("%-22s %-14s %-18s %12s\n", name, m.name, m.partitions, grouped(m.read))
		}
	}
	fmt.Printf("\n%-22s %12s %12s   %-22s %-22s\n",
		"group", "read", "of it again", "lag when all was sent", "lag in the end")
	for _, r := range f.results {
		read := 0
		for _, m := range r.members {
			read += m.read
		}
		behind := r.lagBehind.String()
		if r.elapsed > 0 {
			behind = fmt.Sprintf("%s, in %.1f s", grouped(r.lagBehind.records), r.elapsed.Seconds())
		}
		fmt.Printf("%-22s %12s %12s   %-22s %-22s\n", r.what, grouped(read), grouped(read-r.records),
			behind, r.lagAfter)
	}
	fmt.Println("\nevery group has read every record; what a killed member had read and not committed is read again")
}

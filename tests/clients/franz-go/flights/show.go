package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// bar is a progress bar on stderr; where that is no terminal, it says only when it is done.
type bar struct {
	what     string
	total    int
	done     int
	drawn    time.Time
	terminal bool
}

const barWidth = 40

func newBar(what string, total int) *bar {
	info, err := os.Stderr.Stat()
	terminal := err == nil && info.Mode()&os.ModeCharDevice != 0
	return &bar{what: what, total: total, terminal: terminal}
}

func (b *bar) step() {
	b.done++
	// The clock is read now and then only: there are millions of steps.
	if b.terminal && b.done%1024 == 0 && time.Since(b.drawn) > 100*time.Millisecond {
		b.drawn = time.Now()
		b.draw()
	}
}

func (b *bar) draw() {
	filled := barWidth
	if b.total > 0 {
		filled = barWidth * b.done / b.total
	}
	filled = min(filled, barWidth)
	fmt.Fprintf(os.Stderr, "\r%-18s [%s%s] %s of %s ", b.what, strings.Repeat("#", filled),
		strings.Repeat(".", barWidth-filled), grouped(b.done), grouped(b.total))
}

func (b *bar) finish() {
	if b.terminal {
		b.draw()
		fmt.Fprintln(os.Stderr)
		return
	}
	fmt.Fprintf(os.Stderr, "%-18s %s of %s\n", b.what, grouped(b.done), grouped(b.total))
}

// report prints the tables and fails when a reader saw anything but what was produced.
func report(produced *pass, readers []*pass) error {
	passes := append([]*pass{produced}, readers...)
	fmt.Printf("\n%-10s %12s %14s %12s %12s   %-16s\n",
		"partition", "produced", "bytes", "franz-go", "librdkafka", "checksum")
	differences := 0
	line := func(name string, tallies []tally) {
		verdict := tallies[0].checksum()
		for i := range tallies {
			if tallies[i].records != tallies[0].records || tallies[i].bytes != tallies[0].bytes ||
				tallies[i].checksum() != tallies[0].checksum() {
				verdict = "DIFFERENT"
			}
		}
		if verdict == "DIFFERENT" {
			differences++
		}
		fmt.Printf("%-10s %12s %14s %12s %12s   %-16s\n", name, grouped(tallies[0].records),
			grouped(tallies[0].bytes), grouped(tallies[1].records), grouped(tallies[2].records), verdict)
	}
	for partition := range produced.partitions {
		tallies := make([]tally, 0, len(passes))
		for _, p := range passes {
			tallies = append(tallies, p.partitions[partition])
		}
		line(strconv.Itoa(partition), tallies)
	}
	totals := make([]tally, 0, len(passes))
	for _, p := range passes {
		totals = append(totals, p.sum())
	}
	line("all", totals)

	fmt.Printf("\n%-18s %12s %14s %9s %14s %9s   %-16s\n",
		"client", "records", "bytes", "seconds", "records/s", "MB/s", "checksum")
	for i, p := range passes {
		seconds := p.elapsed.Seconds()
		fmt.Printf("%-18s %12s %14s %9.2f %14s %9.1f   %-16s\n", p.client, grouped(totals[i].records),
			grouped(totals[i].bytes), seconds, grouped(int(float64(totals[i].records)/seconds)),
			float64(totals[i].bytes)/1e6/seconds, totals[i].checksum())
	}
	if differences > 0 {
		return fmt.Errorf("%d lines differ: what came out is not what went in", differences)
	}
	fmt.Println("\nchecksums are equal on all sides")
	return nil
}

// grouped writes 3000000 as 3,000,000.
func grouped(number int) string {
	digits := strconv.Itoa(number)
	var out strings.Builder
	for i, digit := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			out.WriteByte(',')
		}
		out.WriteRune(digit)
	}
	return out.String()
}

package main

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"time"
)

// tally is what one client saw of one partition: how many records and bytes, and a checksum over
// all keys and values in the order of their offsets.
type tally struct {
	records int
	bytes   int
	digest  hash.Hash
}

// pass is one client's way through all of the data.
type pass struct {
	client     string
	partitions []tally
	elapsed    time.Duration
}

func newPass(client string, partitions int) *pass {
	p := &pass{client: client, partitions: make([]tally, partitions)}
	for i := range p.partitions {
		p.partitions[i].digest = sha256.New()
	}
	return p
}

// add counts a record. The topic is new and holds no transactions, so offsets have no gaps.
func (p *pass) add(partition int32, offset int64, key, value []byte) error {
	if int(partition) >= len(p.partitions) {
		return fmt.Errorf("%s: partition %d of %d", p.client, partition, len(p.partitions))
	}
	t := &p.partitions[partition]
	if offset != int64(t.records) {
		return fmt.Errorf("%s: partition %d: offset %d where %d was due",
			p.client, partition, offset, t.records)
	}
	t.records++
	t.bytes += len(key) + len(value)
	for _, part := range [][]byte{key, value} {
		var size [4]byte
		binary.BigEndian.PutUint32(size[:], uint32(len(part)))
		t.digest.Write(size[:])
		t.digest.Write(part)
	}
	return nil
}

func (t *tally) checksum() string {
	return fmt.Sprintf("%x", t.digest.Sum(nil)[:8])
}

// sum is the whole pass as one line: its checksum is that of the partitions' checksums.
func (p *pass) sum() tally {
	total := tally{digest: sha256.New()}
	for i := range p.partitions {
		t := &p.partitions[i]
		total.records += t.records
		total.bytes += t.bytes
		total.digest.Write(t.digest.Sum(nil))
	}
	return total
}

// ends are the offsets behind the last records of all partitions.
func (p *pass) ends() []int64 {
	ends := make([]int64, len(p.partitions))
	for i, t := range p.partitions {
		ends[i] = int64(t.records)
	}
	return ends
}

package main

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"time"

	"github.com/parquet-go/parquet-go"
)

// flight is a row of the data set. Its date is in microseconds of local time.
type flight struct {
	Date        int64  `parquet:"date,optional"`
	Delay       int64  `parquet:"delay,optional"`
	Distance    int64  `parquet:"distance,optional"`
	Origin      string `parquet:"origin,optional"`
	Destination string `parquet:"destination,optional"`
}

// message is what a record's value holds, as JSON.
type message struct {
	Date        string `json:"date"`
	Delay       int64  `json:"delay"`
	Distance    int64  `json:"distance"`
	Origin      string `json:"origin"`
	Destination string `json:"destination"`
}

type source struct {
	file  *os.File
	rows  *parquet.GenericReader[flight]
	batch []flight
	next  int
	sent  int
	total int
}

func openFlights(path string, limit int) (*source, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	rows := parquet.NewGenericReader[flight](file)
	total := int(rows.NumRows())
	if limit > 0 && limit < total {
		total = limit
	}
	return &source{file: file, rows: rows, batch: make([]flight, 0, 4096), total: total}, nil
}

// record returns the next flight's key and value, and io.EOF after the last.
func (s *source) record() (key, value []byte, err error) {
	if s.sent == s.total {
		return nil, nil, io.EOF
	}
	if s.next == len(s.batch) {
		s.batch = s.batch[:cap(s.batch)]
		read, err := s.rows.Read(s.batch)
		if read == 0 {
			return nil, nil, errors.Join(errors.New("the data set ends early"), err)
		}
		s.batch, s.next = s.batch[:read], 0
	}
	row := s.batch[s.next]
	s.next++
	s.sent++
	value, err = json.Marshal(message{
		Date:        time.UnixMicro(row.Date).UTC().Format("2006-01-02T15:04:05"),
		Delay:       row.Delay,
		Distance:    row.Distance,
		Origin:      row.Origin,
		Destination: row.Destination,
	})
	return []byte(row.Origin), value, err
}

func (s *source) close() {
	s.rows.Close()
	s.file.Close()
}

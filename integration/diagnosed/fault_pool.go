//go:build linux

package main

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"log"
	"net/http"
	"sync/atomic"
)

// All connections of a pool are in use, and nobody gives one back.

func init() {
	faults["exhaustedPool"] = rowsAreNotClosed
	faults["exhaustedPool2"] = bodiesAreNotClosed
}

// bookshop reads its orders from a database.
type bookshop struct{ db *sql.DB }

func (s *bookshop) lastOrder(ctx context.Context) (id int64, err error) {
	rows, err := s.db.QueryContext(ctx, "SELECT id FROM orders") // GUILTY exhaustedPool
	if err != nil {
		return 0, err
	}
	if !rows.Next() {
		return 0, errors.New("no order")
	}
	return id, rows.Scan(&id) // the rows are not closed
}

func rowsAreNotClosed() {
	const connections = 10
	s := &bookshop{db: sql.OpenDB(orderTable{})}
	s.db.SetMaxOpenConns(connections)
	for range connections + 90 {
		go func() {
			if _, err := s.lastOrder(context.Background()); err != nil {
				log.Println(err)
			}
		}()
	}
	await("90 queries that wait", func() bool { return s.db.Stats().WaitCount == 90 })
}

// orderTable is a database whose every query has endless rows.
type orderTable struct{}

func (o orderTable) Connect(context.Context) (driver.Conn, error) { return o, nil }
func (o orderTable) Driver() driver.Driver                        { return nil }
func (o orderTable) Prepare(string) (driver.Stmt, error)          { return o, nil }
func (o orderTable) Begin() (driver.Tx, error)                    { return nil, errors.New("there are no transactions") }
func (o orderTable) Close() error                                 { return nil }
func (o orderTable) NumInput() int                                { return 0 }
func (o orderTable) Exec([]driver.Value) (driver.Result, error)   { return driver.ResultNoRows, nil }
func (o orderTable) Query([]driver.Value) (driver.Rows, error)    { return o, nil }
func (o orderTable) Columns() []string                            { return []string{"id"} }

func (o orderTable) Next(row []driver.Value) error {
	row[0] = int64(7)
	return nil
}

// weather asks another service, and forgets the answers.
type weather struct {
	http  *http.Client
	url   string
	asked atomic.Int32
}

func (w *weather) warm(place string) {
	w.asked.Add(1)
	resp, err := w.http.Get(w.url + place) // GUILTY exhaustedPool2
	if err != nil {
		log.Println(err)
		return
	}
	if resp.StatusCode != http.StatusOK { // the body is not closed
		log.Println(resp.Status)
	}
}

func bodiesAreNotClosed() {
	const connections = 4
	url, _, served := serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.CopyN(w, endless{}, 64<<20) // more than the buffers on the way hold
	}))
	w := &weather{http: &http.Client{Transport: &http.Transport{MaxConnsPerHost: connections}}, url: url}
	for range connections + 60 {
		go func() { w.warm("/") }()
	}
	await("4 answers, and 60 requests that wait", func() bool { return w.asked.Load() == connections+60 && served.Load() == connections })
}

// endless is a Reader of zeros.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// Command sql is a server that speaks the protocol of Postgres and answers each query
// with one row. Its clients are a pool of database/sql that more workers use than it has
// connections, and connections that listen for notifications.
package main

import (
	"context"
	"database/sql"
	"fmt"
	"net"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"
	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/gomanhole/oneshot/bench/healthy/program"
)

func main() { program.Main(program.System{Serve: serve, Clients: clients}) }

func serve(*program.Run) string {
	l := program.Must(net.Listen("tcp", "127.0.0.1:0"))
	go func() {
		for {
			go backend(program.Must(l.Accept()))
		}
	}()
	return l.Addr().String()
}

// backend serves one connection until it is closed.
func backend(c net.Conn) {
	defer c.Close()
	b := pgproto3.NewBackend(c, c)
	if _, err := b.ReceiveStartupMessage(); err != nil {
		return
	}
	b.Send(&pgproto3.AuthenticationOk{})
	b.Send(&pgproto3.ParameterStatus{Name: "standard_conforming_strings", Value: "on"})
	b.Send(&pgproto3.ParameterStatus{Name: "client_encoding", Value: "UTF8"})
	b.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
	for b.Flush() == nil {
		m, err := b.Receive()
		if err != nil {
			return
		}
		if _, ok := m.(*pgproto3.Query); ok {
			b.Send(&pgproto3.RowDescription{Fields: []pgproto3.FieldDescription{{Name: []byte("n"), DataTypeOID: 23, DataTypeSize: 4, TypeModifier: -1}}})
			b.Send(&pgproto3.DataRow{Values: [][]byte{[]byte("7")}})
			b.Send(&pgproto3.CommandComplete{CommandTag: []byte("SELECT 1")})
			b.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
		}
	}
}

const pool, workers, listeners = 12, 24, 15

func clients(r *program.Run, address string) {
	url := fmt.Sprintf("postgres://user@%s/db?sslmode=disable&default_query_exec_mode=simple_protocol", address)
	db := program.Must(sql.Open("pgx", url))
	db.SetMaxOpenConns(pool)
	db.SetMaxIdleConns(pool)
	ctx := context.Background()
	conns := make([]*sql.Conn, pool)
	for i := range conns { // all at once, so that the pool is full
		conns[i] = program.Must(db.Conn(ctx))
		program.Check(conns[i].PingContext(ctx))
	}
	for _, c := range conns {
		program.Check(c.Close())
	}
	for range listeners {
		c := program.Must(pgx.Connect(ctx, url))
		program.Must(c.Exec(ctx, "listen news"))
		go listen(ctx, c)
	}
	r.Work(workers, func(ctx context.Context, _, i int) error {
		var n int
		if i%20 == 0 {
			time.Sleep(time.Millisecond)
		}
		return db.QueryRowContext(ctx, "select n").Scan(&n)
	})
	go func() {
		for range time.Tick(time.Second) {
			program.Check(db.PingContext(ctx))
		}
	}()
}

// listen waits for notifications, of which there are none.
func listen(ctx context.Context, c *pgx.Conn) {
	for {
		if _, err := c.WaitForNotification(ctx); err != nil {
			program.Fail("listen: ", err)
		}
	}
}

//go:build linux

package main

import (
	"context"
	"database/sql"
	"net/http"
	"time"

	_ "github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	_ "github.com/lib/pq"
)

func init() {
	add("pgx", "40 of 40 requests of main.(*orders).query", "pgx", func(ctx context.Context) error {
		o := &orders{url: "postgres://u@" + postgres() + "/shop?sslmode=disable"}
		return serve(requests, o.query)
	})
	add("pgx-connect", "40 of 40 requests of main.(*orders).query", "pgx", func(ctx context.Context) error {
		o := &orders{url: "postgres://u@" + silent() + "/shop?sslmode=disable"}
		return serve(requests, o.query)
	})
	add("pgxpool", "40 of 40 requests of main.(*stock).of", "pgx", func(ctx context.Context) error {
		pool, err := pgxpool.New(ctx, "postgres://u@"+postgres()+"/shop?sslmode=disable&pool_max_conns=4")
		if err != nil {
			return err
		}
		for range 4 {
			if _, err := pool.Acquire(ctx); err != nil { // the fault: they are not released
				return err
			}
		}
		return serve(requests, (&stock{pool}).of)
	})
	add("pgxpool-query", "40 of 40 requests of main.(*stock).of", "pgx", func(ctx context.Context) error {
		pool, err := pgxpool.New(ctx, "postgres://u@"+postgres()+"/shop?sslmode=disable&pool_max_conns=100")
		if err != nil {
			return err
		}
		return serve(requests, (&stock{pool}).of)
	})
	add("pq", "40 of 40 requests of main.invoice", "lib/pq", func(context.Context) error {
		return openDB("postgres", "postgres://u@"+postgres()+"/shop?sslmode=disable", requests, 0)
	})
	add("pq-connect", "40 of 40 requests of main.invoice", "lib/pq", func(context.Context) error {
		return openDB("postgres", "postgres://u@"+silent()+"/shop?sslmode=disable", requests, 0)
	})
	add("sql-pool", "40 of 44 requests of main.invoice", "database/sql", func(context.Context) error {
		return openDB("postgres", "postgres://u@"+postgres()+"/shop?sslmode=disable", requests+4, 4)
	})
	add("mysql", "40 of 40 requests of main.invoice", "MySQL", func(context.Context) error {
		return openDB("mysql", "u@tcp("+mysqlServer()+")/shop", requests, 0)
	})
	add("mysql-connect", "40 of 40 requests of main.invoice", "MySQL", func(context.Context) error {
		return openDB("mysql", "u@tcp("+silent()+")/shop", requests, 0)
	})
	add("cron", "12 of 12 goroutines of main.refresh", "lib/pq", func(context.Context) (err error) {
		if db, err = sql.Open("postgres", "postgres://u@"+postgres()+"/shop?sslmode=disable"); err != nil {
			return err
		}
		for range 12 {
			go refresh(5 * time.Millisecond)
		}
		return waitFor(12)
	})
}

var db *sql.DB

// orders asks with a connection for each request.
type orders struct{ url string }

func (o *orders) query(w http.ResponseWriter, r *http.Request) {
	entered.Add(1)
	conn, err := pgx.Connect(r.Context(), o.url)
	if err == nil {
		_, err = conn.Query(r.Context(), "SELECT id FROM orders WHERE customer = $1", 7)
	}
	failed(err)
}

// stock asks with the connections of a pool.
type stock struct{ pool *pgxpool.Pool }

func (s *stock) of(w http.ResponseWriter, r *http.Request) {
	entered.Add(1)
	var n int
	failed(s.pool.QueryRow(r.Context(), "SELECT n FROM stock WHERE item = $1", 7).Scan(&n))
}

func openDB(driver, url string, n, limit int) (err error) {
	if db, err = sql.Open(driver, url); err != nil {
		return err
	}
	db.SetMaxOpenConns(limit)
	return serve(n, invoice)
}

func invoice(w http.ResponseWriter, r *http.Request) {
	entered.Add(1)
	_, err := db.QueryContext(r.Context(), "SELECT id FROM invoices")
	failed(err)
}

// refresh asks again and again.
func refresh(every time.Duration) {
	for range time.Tick(every) {
		entered.Add(1)
		_, err := db.Exec("REFRESH MATERIALIZED VIEW sales")
		failed(err)
	}
}

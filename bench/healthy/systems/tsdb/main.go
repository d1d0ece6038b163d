// Command tsdb embeds the database of Prometheus, with appenders and queries.
package main

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"

	"github.com/gomanhole/oneshot/bench/healthy/program"
)

func main() { program.Main(program.System{Serve: serve}) }

func serve(r *program.Run) string {
	o := tsdb.DefaultOptions()
	db := program.Must(tsdb.Open(filepath.Join(r.Dir, "data"), slog.New(slog.DiscardHandler), nil, o, nil))
	var clock atomic.Int64
	clock.Store(time.Now().UnixMilli())
	r.Work(16, func(ctx context.Context, worker, _ int) error {
		if worker < 12 {
			return add(ctx, db, worker, clock.Add(1))
		}
		return query(ctx, db, clock.Load())
	})
	if !r.Load {
		program.Check(add(context.Background(), db, 0, clock.Load()))
	}
	return ""
}

func add(ctx context.Context, db *tsdb.DB, worker int, at int64) error {
	app := db.Appender(ctx)
	for i := range 50 {
		series := labels.FromStrings("__name__", "requests", "worker", fmt.Sprint(worker), "series", fmt.Sprint(i))
		if _, err := app.Append(0, series, at, float64(i)); err != nil {
			return err
		}
	}
	return app.Commit()
}

func query(ctx context.Context, db *tsdb.DB, now int64) error {
	q, err := db.Querier(now-10_000, now)
	if err != nil {
		return err
	}
	defer q.Close()
	all := q.Select(ctx, true, &storage.SelectHints{}, labels.MustNewMatcher(labels.MatchEqual, "__name__", "requests"))
	for all.Next() {
		for samples := all.At().Iterator(nil); samples.Next() != 0; {
		}
	}
	return all.Err()
}

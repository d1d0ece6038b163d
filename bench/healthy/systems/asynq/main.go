// Command asynq is a Redis server (miniredis). Its clients are the workers and the
// producers of the task queue Asynq, and goroutines that wait for elements of lists.
package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/hibiken/asynq"
	goredis "github.com/redis/go-redis/v9"

	"github.com/gomanhole/oneshot/bench/healthy/program"
)

func main() { program.Main(program.System{Serve: serve, Clients: clients}) }

func serve(*program.Run) string {
	return program.Must(miniredis.Run()).Addr()
}

func clients(r *program.Run, address string) {
	redis := asynq.RedisClientOpt{Addr: address}
	s := asynq.NewServer(redis, asynq.Config{Concurrency: 10, LogLevel: asynq.FatalLevel, Queues: map[string]int{"first": 3, "second": 1}})
	program.Check(s.Start(asynq.HandlerFunc(func(context.Context, *asynq.Task) error {
		time.Sleep(time.Millisecond)
		return nil
	})))
	cron := asynq.NewScheduler(redis, &asynq.SchedulerOpts{LogLevel: asynq.FatalLevel})
	program.Must(cron.Register("@every 1s", asynq.NewTask("tick", nil), asynq.Queue("second")))
	program.Check(cron.Start())
	lists := goredis.NewClient(&goredis.Options{Addr: address, PoolSize: 2 * consumers})
	for i := range consumers {
		go consume(lists, fmt.Sprint("list", i))
	}
	c := asynq.NewClient(redis)
	r.Work(14, func(ctx context.Context, worker, i int) error {
		_, err := c.EnqueueContext(ctx, asynq.NewTask("mail", fmt.Appendf(nil, "%d.%d", worker, i)), asynq.Queue([]string{"first", "second"}[i%2]))
		if errors.Is(err, asynq.ErrTaskIDConflict) {
			return nil // go-redis sends a command again if the answer is late, and the task is there already
		}
		return err
	})
}

const consumers = 15

// consume waits for elements of a list.
func consume(c *goredis.Client, list string) {
	for {
		if err := c.BLPop(context.Background(), 0, list).Err(); err != nil {
			program.Fail("blpop: ", err)
		}
	}
}

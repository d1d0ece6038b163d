// Healthy shows that healthy programs have no findings. It builds real systems, has each
// be idle and under load, and looks at it several times: its first screen, its stacks,
// and its stacks from outside. Whatever stands out is a false finding.
//
// With -own, each program is part of the library's own module, so that the library is the
// program's own code. The library is copied into a temporary folder for that.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"time"
)

// options are the flags of the command.
type options struct {
	release string
	only    *regexp.Regexp
	own     bool
	looks   int
	age     time.Duration
	verbose bool
	screens string
}

// system is a program in the folder systems.
type system struct {
	name    string
	clients bool     // whether it has clients in another process
	modules []string // the libraries of which it can be the own program
}

var systems = []system{
	{"websocket", true, []string{"github.com/gorilla/websocket"}},
	{"sql", true, []string{"github.com/jackc/pgx/v5"}},
	{"workers", false, nil},
	{"mqtt", true, []string{"github.com/mochi-mqtt/server/v2", "github.com/eclipse/paho.mqtt.golang"}},
	{"nats", true, []string{"github.com/nats-io/nats-server/v2", "github.com/nats-io/nats.go"}},
	{"raft", false, []string{"github.com/hashicorp/raft"}},
	{"asynq", true, []string{"github.com/hibiken/asynq", "github.com/alicebob/miniredis/v2"}},
	{"grpc", true, []string{"google.golang.org/grpc"}},
	{"badger", false, []string{"github.com/dgraph-io/badger/v4"}},
	{"pebble", false, []string{"github.com/cockroachdb/pebble/v2"}},
	{"tsdb", false, []string{"github.com/prometheus/prometheus"}},
	{"kubernetes", true, []string{"k8s.io/client-go"}},
	{"etcd", true, []string{"go.etcd.io/etcd/server/v3", "go.etcd.io/etcd/client/v3"}},
	{"libp2p", true, []string{"github.com/libp2p/go-libp2p"}},
	{"caddy", true, []string{"github.com/caddyserver/caddy/v2"}},
}

func main() {
	var o options
	flag.StringVar(&o.release, "release", "go1.26.8", "the release of Go with which the programs are built")
	only := flag.String("only", "", "run the systems whose names match this regular expression")
	flag.BoolVar(&o.own, "own", false, "build the programs as parts of their libraries")
	flag.IntVar(&o.looks, "looks", 3, "how often each process is looked at, each time in three ways")
	flag.DurationVar(&o.age, "age", 0, "look at the idle processes again when they are this old; 0: do not")
	flag.BoolVar(&o.verbose, "v", false, "print each look")
	flag.StringVar(&o.screens, "screens", "", "an existing folder for what a look with a false finding showed")
	flag.Parse()
	var err error
	if o.only, err = regexp.Compile(*only); err == nil {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
		defer stop()
		err = run(ctx, o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "healthy:", err)
		os.Exit(1)
	}
}

// tally counts the looks at the processes of one build of a system.
type tally struct {
	name         string
	looks, wrong int
	longest      time.Duration // that a first screen took
}

// run looks at all systems and prints a table. It returns an error if anything stood out,
// or if a process could not be looked at.
func run(ctx context.Context, o options) error {
	dir, err := os.MkdirTemp("", "healthy")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := builder{ctx, dir, o.release}
	client := filepath.Join(dir, "oneshot")
	if err := b.command("../..", "build", "-o", client, "./cmd/oneshot"); err != nil {
		return err
	}
	l := &looker{options: o, ctx: ctx, client: client}
	var all []*tally
	var old []*process // idle processes, for another look
	defer func() {
		for _, p := range slices.Backward(old) {
			p.end()
		}
	}()
	var failed []error
	for _, s := range systems {
		if !o.only.MatchString(s.name) {
			continue
		}
		modules := s.modules
		if !o.own {
			modules = []string{""}
		}
		for _, module := range modules {
			t := &tally{name: s.name}
			if module != "" {
				t.name += ", as part of " + module
			}
			all = append(all, t)
			idle, err := l.system(b, s, module, t)
			old = append(old, idle...)
			if err != nil {
				failed = append(failed, fmt.Errorf("%s: %w", t.name, err))
				fmt.Println(failed[len(failed)-1])
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
		}
	}
	for _, p := range old {
		if err := l.again(p); err != nil {
			failed = append(failed, err)
		}
	}
	return report(o, all, errors.Join(failed...))
}

func report(o options, all []*tally, failed error) error {
	var sum tally
	fmt.Println("| release | system | looks | false findings | longest first screen |")
	fmt.Println("|---|---|---|---|---|")
	for _, t := range all {
		fmt.Printf("| %s | %s | %d | %d | %v |\n", o.release, t.name, t.looks, t.wrong, t.longest.Round(time.Millisecond))
		sum.looks += t.looks
		sum.wrong += t.wrong
		sum.longest = max(sum.longest, t.longest)
	}
	fmt.Printf("| %s | all %d | %d | %d | %v |\n", o.release, len(all), sum.looks, sum.wrong, sum.longest.Round(time.Millisecond))
	if failed == nil && sum.wrong > 0 {
		failed = fmt.Errorf("%d false findings", sum.wrong)
	}
	return failed
}

package command

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sort"
	"time"

	"github.com/gomanhole/oneshot/internal/document"
	"github.com/gomanhole/oneshot/internal/dump"
	"github.com/gomanhole/oneshot/internal/leakproof"
	"github.com/gomanhole/oneshot/internal/plaintext"
	"github.com/gomanhole/oneshot/internal/stack"
	"github.com/gomanhole/oneshot/internal/vitals"
)

// leakCommands are the commands about goroutines that can never continue.
var leakCommands = []*Command{
	{
		Name: "leaks", Args: "[-force]", Summary: "prove which goroutines can never continue, and show them",
		Help: "The garbage collector looks for goroutines that wait for something which nothing else can reach any more (the\n" +
			"goroutineleak profile, from Go 1.27 on). It takes two collections. The program stops for an instant in each: the\n" +
			"command says first for how long, and shows then how long it was. A goroutine that a global variable or a timer\n" +
			"can reach is not proved to be leaked.\n" +
			"  -force  allow a stop of more than 10 ms" + jsonHelp,
		Flags: []string{"-force", jsonFlag},
		Run:   answers(findLeaks),
	},
}

// maxLeaksStop is how long leaks may stop the program without -force.
const maxLeaksStop = 10 * time.Millisecond

// leaksAnswer is the answer of leaks.
type leaksAnswer struct {
	document.Stacks
	dump  *dump.Dump
	shown *stack.Snapshot
}

func findLeaks(ctx context.Context, s Session, args []string) (Answer, error) {
	var force bool
	rest, err := parseFlags("leaks", args, option{"force", &force})
	switch {
	case err != nil:
		return nil, err
	case len(rest) > 0:
		return nil, fmt.Errorf("leaks: it takes no arguments, not %q; stacks REGEXP shows a part", plaintext.Clip(rest[0], 40))
	case !leakproof.Available():
		return nil, fmt.Errorf("leaks: this program was built with %s, which cannot prove leaks; Go 1.27 can. stacks -diff shows which groups grow", runtime.Version())
	}
	now := vitals.Read()
	cost := leakproof.Estimate(now)
	proof := &document.Proof{PredictedStop: cost.Stop.Seconds(), Goroutines: now.Goroutines, Heap: now.HeapObjects}
	about := fmt.Sprintf("about %v for %d goroutines, and collects %s of heap twice", cost.Stop.Round(10*time.Microsecond), now.Goroutines, vitals.Bytes(now.HeapObjects))
	if cost.Stop > maxLeaksStop && !force {
		return nil, errors.New("leaks: it stops the program for " + about + "; leaks -force does it")
	}
	fmt.Fprintf(s, "this stops the program for %s\n", about)
	_ = s.Flush() // so the session notices a client that has disconnected
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if cost, err = leakproof.Take(); err != nil {
		return nil, fmt.Errorf("leaks: %w", err)
	}
	proof.Stop, proof.CPU = cost.Stop.Seconds(), cost.CPU.Seconds()
	fmt.Fprintf(s, "the longest stop was %v; the collections took %v of CPU time\n", cost.Stop, cost.CPU.Round(time.Microsecond))
	d := &dump.Dump{Options: dump.Options{State: "leaked", Full: true, Force: force}, Ctx: ctx, Announce: announceStop(s)}
	if err := d.Take(); err != nil {
		return nil, err
	}
	a := &leaksAnswer{dump: d, shown: d.Selected(d.Taken)}
	sort.Stable(oldestFirst(a.shown.Groups))
	a.Stacks = document.Stacks{Head: document.Of("leaks"), Process: self(), Proof: proof, Stop: d.Stop.Seconds()}
	a.Goroutines = d.Document(nil, a.shown, len(a.shown.Groups), false)
	return a, nil
}

// Text implements Answer.
func (a *leaksAnswer) Text(out *dump.Writer) {
	if len(a.shown.Groups) == 0 {
		out.Printf("none of %s is proved to be leaked\n", plaintext.Plural(a.dump.Taken.Total, "goroutine"))
		return
	}
	t := a.dump.Writer(out.W)
	t.Groups(a.shown, len(a.shown.Groups), false)
	out.Err = t.Err
}

type oldestFirst []stack.Group

func (s oldestFirst) Len() int      { return len(s) }
func (s oldestFirst) Swap(i, j int) { s[i], s[j] = s[j], s[i] }

func (s oldestFirst) Less(i, j int) bool {
	_, a := s[i].Waits()
	_, b := s[j].Waits()
	return a > b
}

package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"runtime/debug"
	"strings"

	"github.com/gomanhole/oneshot/internal/document"
	"github.com/gomanhole/oneshot/internal/dump"
	"github.com/gomanhole/oneshot/internal/procfs"
	"github.com/gomanhole/oneshot/internal/sigset"
	"github.com/gomanhole/oneshot/internal/stack"
)

// processCommands are the commands about the process as the system sees it.
var processCommands = []*Command{
	{
		Name: "build", Summary: "show how the program was built, and from which modules",
		Help:  "It is what go version -m prints, with a note if goroutines cannot be read well in this program." + jsonHelp,
		Flags: []string{jsonFlag}, Run: answers(NoArgs(findBuild)),
	},
	{
		Name: "signals", Summary: "show the signal masks of the process, and what the program listens to",
		Help: "The masks are those of /proc/PID/status (proc(5)); SigBlk is that of the main thread. The Go runtime\n" +
			"catches nearly every signal for itself, so SigCgt says little; see the last lines for what the program listens to." + jsonHelp,
		Flags: []string{jsonFlag}, Run: answers(NoArgs(findSignals)),
	},
}

// buildAnswer is the answer of build.
type buildAnswer struct {
	document.Build
	info *debug.BuildInfo
}

func findBuild(context.Context, Session) (Answer, error) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return nil, errors.New("the binary has no build information; build it in module mode")
	}
	return BuildOf(info, stack.SlowProfile(), stack.CannotRead()), nil
}

// BuildOf returns the answer of build, with those of the notes that are not empty.
func BuildOf(info *debug.BuildInfo, notes ...string) Answer {
	a := &buildAnswer{info: info, Build: document.Build{Head: document.Of("build"), Go: info.GoVersion, Path: info.Path, Main: moduleOf(info.Main)}}
	for _, dep := range info.Deps {
		a.Deps = append(a.Deps, *moduleOf(*dep))
	}
	for _, s := range info.Settings {
		a.Settings = append(a.Settings, document.Setting{Key: s.Key, Value: s.Value})
	}
	for _, note := range notes {
		if note != "" {
			a.Notes = append(a.Notes, note)
		}
	}
	return a
}

// moduleOf returns a module, or nil if there is none.
func moduleOf(m debug.Module) *document.Module {
	if m == (debug.Module{}) {
		return nil
	}
	d := &document.Module{Path: m.Path, Version: m.Version, Sum: m.Sum}
	if m.Replace != nil {
		d.Replace = moduleOf(*m.Replace)
	}
	return d
}

// Text implements Answer.
func (a *buildAnswer) Text(t *dump.Writer) {
	t.Printf("%s", a.info)
	for _, note := range a.Notes {
		t.Printf("note\t%s\n", note)
	}
}

// signalsAnswer is the answer of signals.
type signalsAnswer struct{ document.Signals }

func findSignals(_ context.Context, s Session) (Answer, error) {
	status, err := procfs.ReadStatus(s.Process().Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("the masks are read from /proc, which is not there: %w", err)
	}
	if err != nil {
		return nil, err
	}
	a := &signalsAnswer{document.Signals{Head: document.Of("signals")}}
	for _, row := range []struct{ name, what string }{
		{"SigPnd", "pending, main thread"},
		{"ShdPnd", "pending, process"},
		{"SigBlk", "blocked, main thread"},
		{"SigIgn", "ignored"},
		{"SigCgt", "caught"},
	} {
		mask, err := status.Mask(row.name)
		if err != nil {
			return nil, err
		}
		a.Masks = append(a.Masks, document.Mask{Name: row.name, What: row.what, Mask: fmt.Sprintf("%016x", mask), Signals: namesOf(sigset.Set(mask))})
	}
	listens, err := s.Listens()
	if err != nil {
		a.Unknown = err.Error()
	} else {
		a.Listens = namesOf(listens)
	}
	for _, sig := range sigset.Terminating {
		a.Terminating = append(a.Terminating, document.Disposition{Signal: sigset.Name(sig), Effect: s.Disposition(sig)})
	}
	return a, nil
}

// namesOf returns the names of the signals in a set.
func namesOf(set sigset.Set) []string {
	if set == 0 {
		return nil
	}
	return strings.Split(set.String(), ",")
}

// Text implements Answer.
func (a *signalsAnswer) Text(t *dump.Writer) {
	list := func(names []string) string { return cmp.Or(strings.Join(names, ","), sigset.Set(0).String()) }
	for _, m := range a.Masks {
		t.Printf("%s %s  %s: %s\n", m.Name, m.Mask, m.What, list(m.Signals))
	}
	if a.Unknown != "" {
		t.Printf("listens to: unknown, since %s\n", a.Unknown)
	} else {
		t.Printf("listens to: %s\n", list(a.Listens))
	}
	for _, d := range a.Terminating {
		t.Printf("%-10s  %s\n", d.Signal, d.Effect)
	}
}

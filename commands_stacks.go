package oneshot

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/gomanhole/oneshot/internal/dump"
	"github.com/gomanhole/oneshot/internal/plaintext"
	"github.com/gomanhole/oneshot/internal/stack"
	"github.com/gomanhole/oneshot/internal/vitals"
)

// stackCommands are those about goroutines.
var stackCommands = []*Command{
	{
		Name: "stacks", Args: "[FLAGS] [REGEXP]", Summary: "show what the goroutines are doing, grouped by identical stacks",
		Help: "Shows what stands out, and the largest groups: of all goroutines, or of those with a function or\n" +
			"file:line that REGEXP matches. The program is not stopped for it: the goroutine profile needs pauses far\n" +
			"below a millisecond. Up to 500 goroutines are looked at one by one, which stops it for a millisecond or two.\n" +
			"  -n N       the N largest groups; 20 unless told, 0 for all\n" +
			"  -state S   those that wait for S, such as chan or sync.Mutex.Lock; runnable is what runs or could\n" +
			"  -diff      what grew and shrank since this session's dump before, largest growth first\n" +
			"  -full      ids, minutes waited and what started them in large programs too; stops the program once\n" +
			"  -go        the runtime's own text, as a panic has it; stops the program once\n" +
			"  -pprof     the goroutine profile for go tool pprof; it is binary, so with -o\n" +
			"  -o FILE    into a new file of mode 0600\n" +
			"  -force     even if the program is stopped for more than a second",
		Run: runStacks,
	},
	{
		Name: "goroutine", Args: "[-force] ID", Summary: "show one goroutine, by its id",
		Help: "Ids stand in the groups of small programs and in stacks -full. Finding one stops the program as long as\n" +
			"stacks -go does, and wants -force where that is over a second.",
		Run: runGoroutine,
	},
}

// parseFlags parses the flags of a command wherever they stand, and returns the
// other arguments.
func parseFlags(cmd string, args []string, define func(*flag.FlagSet)) ([]string, error) {
	flags := flag.NewFlagSet(cmd, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	define(flags)
	var rest []string
	for len(args) > 0 {
		if err := flags.Parse(args); err != nil {
			return nil, fmt.Errorf("%s: %w; help %s tells more", cmd, err, cmd)
		}
		// What comes behind "--" is no flag.
		if literal := len(args) - flags.NArg(); literal > 0 && args[literal-1] == "--" {
			return append(rest, flags.Args()...), nil
		}
		if args = flags.Args(); len(args) > 0 {
			rest, args = append(rest, args[0]), args[1:]
		}
	}
	return rest, nil
}

// stacksFlags are the flags of stacks.
type stacksFlags struct {
	dump.Options
	diff bool
	file string
}

func parseStacks(args []string) (f stacksFlags, err error) {
	n, asGo, asPprof := dump.DefaultGroups, false, false
	rest, err := parseFlags("stacks", args, func(flags *flag.FlagSet) {
		flags.IntVar(&n, "n", n, "")
		flags.StringVar(&f.State, "state", "", "")
		flags.BoolVar(&f.diff, "diff", false, "")
		flags.BoolVar(&f.Full, "full", false, "")
		flags.BoolVar(&asGo, "go", false, "")
		flags.BoolVar(&asPprof, "pprof", false, "")
		flags.BoolVar(&f.Force, "force", false, "")
		flags.StringVar(&f.file, "o", "", "")
	})
	if err != nil {
		return f, err
	}
	selects := len(rest) > 0 || f.State != ""
	switch {
	case n < 0:
		return f, fmt.Errorf("stacks: -n %d: give the number of groups, 0 for all", n)
	case len(rest) > 1:
		return f, fmt.Errorf("stacks: one regular expression at a time, not %q; use a|b for several", rest)
	case asGo && asPprof:
		return f, errors.New("stacks: either -go or -pprof")
	case (asGo || asPprof) && (selects || f.diff || f.Full):
		return f, errors.New("stacks: -go and -pprof show all goroutines; they take no -state, -diff, -full or expression")
	case asPprof && f.file == "":
		return f, errors.New("stacks: a profile is binary; name a file that is not there yet: stacks -pprof -o FILE")
	case f.diff && f.file != "":
		return f, errors.New("stacks: -diff is shown here; it takes no -o")
	}
	if len(rest) == 1 {
		if f.Match, err = regexp.Compile(rest[0]); err != nil {
			return f, fmt.Errorf("stacks: %w", err)
		}
	}
	if f.Groups = n; n == 0 {
		f.Groups = -1
	}
	if asGo {
		f.Form = dump.Go
	}
	if asPprof {
		f.Form = dump.Pprof
	}
	return f, nil
}

func runStacks(ctx context.Context, s *Session, args []string) error {
	f, err := parseStacks(args)
	if err != nil {
		return err
	}
	return s.stacks(ctx, f, vitals.Read())
}

// stacks runs the command; before is from when on it is just now.
func (s *Session) stacks(ctx context.Context, f stacksFlags, before vitals.Sample) error {
	d := &dump.Dump{Options: f.Options, Ctx: ctx, Before: before, Announce: s.announceStop}
	if f.file != "" {
		return s.toFile(f.file, d.Write)
	}
	if d.Form != dump.Groups {
		return d.Write(s.out)
	}
	if err := d.Take(); err != nil {
		return err
	}
	s.mu.Lock()
	previous := s.snapshot
	if s.snapshot = d.Taken; len(d.Taken.Groups) > dump.ManyGroups {
		s.snapshot = nil // too much to be kept while somebody reads
	}
	s.mu.Unlock()
	t := &dump.Writer{Ctx: ctx, W: s.out}
	t.Stop(d.Stop)
	t.Findings(d.Found)
	switch {
	case !f.diff:
		t.Groups(d.Selected(d.Taken), d.Limit(), d.Full)
	case previous == nil:
		return fmt.Errorf("stacks: there is no dump before this one to compare with, or one of more than %d groups", dump.ManyGroups)
	default:
		t.Changes(d.Selected(previous), d.Selected(d.Taken), d.Limit())
	}
	return t.Err
}

// announceStop tells the client before the program is stopped for it.
func (s *Session) announceStop(c stack.Cost) {
	fmt.Fprintf(s.out, "this stops the program for about %v, for %s of stacks\n",
		c.Stop.Round(10*time.Microsecond), vitals.Bytes(uint64(c.Bytes)))
	_ = s.out.Flush() // a client that is gone is noticed soon enough
}

// toFile has a new file written, which only the program's user can read. It is
// made when there is something to write.
func (s *Session) toFile(name string, write func(io.Writer) error) error {
	if _, err := os.Lstat(name); err == nil {
		return fmt.Errorf("%s: %w; -o wants a file that is not there yet", name, fs.ErrExist)
	}
	f := &newFile{name: name}
	b := bufio.NewWriterSize(f, 64<<10)
	err := cmp.Or(write(b), b.Flush())
	if f.File != nil {
		err = cmp.Or(err, f.Close())
	}
	if err != nil && f.n > 0 {
		return fmt.Errorf("%w; what has been written stays in %s", err, name)
	}
	if err != nil {
		f.remove()
		return err
	}
	fmt.Fprintf(s.out, "%s written to %s\n", vitals.Bytes(f.n), name)
	return nil
}

// newFile is made by its first Write.
type newFile struct {
	*os.File
	name string
	made fs.FileInfo
	n    uint64 // bytes written
}

func (f *newFile) Write(p []byte) (n int, err error) {
	if f.File == nil {
		// O_EXCL follows no link and opens nothing that is there.
		if f.File, err = os.OpenFile(f.name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600); err != nil {
			f.File = nil
			return 0, fmt.Errorf("%w; -o wants a file that is not there yet", err)
		}
	}
	if f.made == nil {
		f.made, _ = f.Stat()
	}
	n, err = f.File.Write(p)
	f.n += uint64(n)
	return n, err
}

// remove removes the file, if it was made and stands there still.
func (f *newFile) remove() {
	if now, err := os.Lstat(f.name); err == nil && f.made != nil && os.SameFile(now, f.made) {
		_ = os.Remove(f.name)
	}
}

func runGoroutine(ctx context.Context, s *Session, args []string) error {
	d := &dump.Dump{Ctx: ctx, Announce: s.announceStop}
	rest, err := parseFlags("goroutine", args, func(flags *flag.FlagSet) { flags.BoolVar(&d.Force, "force", false, "") })
	if err != nil {
		return err
	}
	if len(rest) != 1 {
		return errors.New("goroutine: name one goroutine by its id: goroutine 18")
	}
	id, err := strconv.ParseUint(rest[0], 10, 64)
	if err != nil {
		return fmt.Errorf("goroutine: %q is not an id; stacks shows them, of large programs stacks -full", plaintext.Clip(rest[0], 40))
	}
	t, err := d.Listing()
	if err != nil {
		return err
	}
	defer t.Release()
	one := t.Goroutine(id)
	if one == nil {
		return fmt.Errorf("goroutine: there is no goroutine %d; it has ended, or never was", id)
	}
	_, err = fmt.Fprintf(s.out, "%s\n", strings.TrimSpace(string(one)))
	return err
}

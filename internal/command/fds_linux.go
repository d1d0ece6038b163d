package command

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/gomanhole/oneshot/internal/document"
	"github.com/gomanhole/oneshot/internal/dump"
	"github.com/gomanhole/oneshot/internal/pattern"
	"github.com/gomanhole/oneshot/internal/plaintext"
	"github.com/gomanhole/oneshot/internal/procfs"
	"github.com/gomanhole/oneshot/internal/sigset"
)

// descriptorCommands are the commands about open files.
var descriptorCommands = []*Command{
	{
		Name: "fds", Args: "[-n N] [REGEXP]", Summary: "show the open files, sockets and other descriptors",
		Help: "Shows number, kind, access (ro, wo, rw; path for O_PATH), socket state, target and flags. With REGEXP,\n" +
			"it shows only matching rows: fds 'tcp.*LISTEN', fds deleted. It does not read from a descriptor or write to\n" +
			"it. \"inherited by children\" means that close-on-exec is not set (not shown for 0 to 2). The program goes on\n" +
			"meanwhile; a descriptor that it closes is left out.\n" +
			"  -n N   show at most N rows; the default is 100, and 0 means all" + jsonHelp,
		Flags: []string{"-n", jsonFlag},
		Run:   answers(findFDs),
	},
}

// maxDescriptors limits how many descriptors are read. Each takes about 20 us.
const maxDescriptors = 1 << 16

func findFDs(ctx context.Context, s Session, args []string) (Answer, error) {
	n := 100
	rest, err := parseFlags("fds", args, option{"n", &n})
	switch {
	case err != nil:
		return nil, err
	case n < 0:
		return nil, fmt.Errorf("fds: -n %d: give the number of rows, 0 for all", n)
	case len(rest) > 1:
		return nil, fmt.Errorf("fds: one regular expression at a time, not %q; use a|b for several", rest)
	}
	match, err := pattern.Compile(strings.Join(rest, "")) // an empty one matches every row
	if err != nil {
		return nil, fmt.Errorf("fds: %w", err)
	}
	if n == 0 {
		n = maxDescriptors
	}
	limit, err := s.Process().DescriptorLimit()
	if err != nil {
		return nil, fmt.Errorf("fds: the limit of descriptors: %w", err)
	}
	numbers, err := s.Process().Numbers(ctx, maxDescriptors)
	if err != nil {
		return nil, fmt.Errorf("fds: %w", err)
	}
	return listFDs(ctx, s, numbers, limit, match, n)
}

// fdsAnswer is the answer of fds.
type fdsAnswer struct {
	document.FDs
	match *pattern.Pattern
}

// listFDs returns the descriptors that match, with at most n rows.
func listFDs(ctx context.Context, s Session, numbers []int, limit uint64, match *pattern.Pattern, n int) (Answer, error) {
	unseen := max(0, len(numbers)-maxDescriptors)
	a := &fdsAnswer{match: match, FDs: document.FDs{Head: document.Of("fds"), Limit: limit, Kinds: make(map[string]int)}}
	for _, fd := range numbers[:len(numbers)-unseen] {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		d, ok := s.Process().ReadDescriptor(fd)
		if !ok {
			continue
		}
		a.Read++
		a.Kinds[d.Kind]++
		row := describe(&d)
		if !match.MatchString(strings.TrimSpace(descriptorRow(&row))) {
			continue
		}
		if a.Matched++; len(a.Rows) < n {
			a.Rows = append(a.Rows, row)
		}
	}
	a.Open, a.More = a.Read+unseen, a.Matched-len(a.Rows)
	return a, nil
}

// Text implements Answer.
func (a *fdsAnswer) Text(t *dump.Writer) {
	t.Printf("%d of %d: %s\n", a.Open, a.Limit, countsText(a.Kinds, " "))
	if a.Open > a.Read {
		t.Printf("only the first %d of them were read\n", a.Read)
	}
	for i := range a.Rows {
		if t.Ended() {
			return
		}
		t.Printf("%s\n", descriptorRow(&a.Rows[i]))
	}
	switch {
	case a.More > 0:
		t.Printf("%d more: fds -n 0\n", a.More)
	case a.Matched == 0:
		t.Printf("no row matches %s\n", plaintext.Line(a.match.String()))
	}
}

// countsText returns counts with their names, the most frequent first:
// "180 tcp, 12 file".
func countsText(counts map[string]int, between string) string {
	names := slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), strings.Compare(a, b))
	})
	for i, name := range names {
		names[i] = fmt.Sprint(counts[name], between, name)
	}
	return strings.Join(names, ", ")
}

// maxTarget is how many bytes of a descriptor's target are shown.
const maxTarget = 4096

// describe returns what is shown of a descriptor.
func describe(d *procfs.Descriptor) document.FD {
	row := document.FD{
		FD: d.FD, Kind: d.Kind, Access: accessText(d.Flags), State: d.State, Target: plaintext.Clip(d.Target, maxTarget), Detail: d.Detail,
		Append: d.Flags&unix.O_APPEND != 0, Nonblock: d.Flags&unix.O_NONBLOCK != 0,
		Direct: d.Flags&unix.O_DIRECT != 0, Sync: d.Flags&unix.O_DSYNC != 0,
		Deleted: d.Deleted, Inherited: !d.CloseOnExec && d.FD > 2, Replaced: d.Changed,
	}
	if d.Blocked != 0 {
		row.Signals = compactSet(sigset.Set(d.Blocked))
	}
	if d.Regular {
		size := d.Size
		row.Size = &size
		if at := d.Position; at >= 0 {
			row.Position = &at
		}
	}
	return row
}

// descriptorRow returns the line that describes one descriptor.
func descriptorRow(d *document.FD) string {
	var parts []string
	add := func(ok bool, part string) {
		if ok {
			parts = append(parts, part)
		}
	}
	target := strings.TrimSpace(d.State + " " + plaintext.Line(d.Target))
	add(target != "", target)
	add(d.Detail != "", d.Detail)
	add(d.Signals != "", d.Signals)
	add(d.Append, "append")
	add(d.Nonblock, "nonblock")
	add(d.Direct, "direct")
	add(d.Sync, "sync")
	if d.Size != nil {
		size := fmt.Sprintf("%d bytes", *d.Size) // more than an int can have on 32 bits
		if *d.Size == 1 {
			size = "1 byte"
		}
		if d.Position != nil {
			size = fmt.Sprintf("at %d of %s", *d.Position, size)
		}
		add(true, size)
	}
	add(d.Deleted, "deleted")
	add(d.Inherited, "inherited by children")
	add(d.Replaced, "replaced while it was read")
	return strings.TrimRight(fmt.Sprintf("%5d  %-9s %-4s  %s", d.FD, d.Kind, d.Access, strings.Join(parts, ", ")), " ")
}

func accessText(flags int) string {
	switch {
	case flags&unix.O_PATH != 0:
		return "path"
	case flags&unix.O_ACCMODE == unix.O_RDONLY:
		return "ro"
	case flags&unix.O_ACCMODE == unix.O_WRONLY:
		return "wo"
	}
	return "rw"
}

package command

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/gomanhole/oneshot/internal/document"
	"github.com/gomanhole/oneshot/internal/dump"
	"github.com/gomanhole/oneshot/internal/plaintext"
)

var goroutineCommand = &Command{
	Name: "goroutine", Args: "[-force] ID", Summary: "show one goroutine, by its id",
	Help: "stacks shows some ids of each group, and stacks -full shows all. In a program with more than 500 goroutines, it is\n" +
		"read while the program runs, and without the arguments of its functions. Where build says that they cannot be\n" +
		"read one by one, the command stops the program for as long as stacks -go does, and may need -force." + jsonHelp,
	Flags: []string{"-force", jsonFlag},
	Run:   answers(findGoroutine),
}

func parseGoroutine(args []string, force *bool) (id uint64, err error) {
	rest, err := parseFlags("goroutine", args, option{"force", force})
	if err != nil {
		return 0, err
	}
	if len(rest) != 1 {
		return 0, errors.New("goroutine: give the id of one goroutine: goroutine 18")
	}
	id, err = strconv.ParseUint(rest[0], 10, 64)
	if err != nil {
		return 0, fmt.Errorf("goroutine: %q is not an id; stacks shows some ids, and stacks -full all", plaintext.Clip(rest[0], 40))
	}
	return id, nil
}

// goroutineAnswer is the answer of goroutine.
type goroutineAnswer struct {
	document.Head
	ID   uint64         `json:"id"`
	Line string         `json:"text"` // as the runtime prints it
	Of   document.Group `json:"group"`
}

// Text implements Answer.
func (a *goroutineAnswer) Text(t *dump.Writer) { t.Printf("%s\n", a.Line) }

func findGoroutine(ctx context.Context, s Session, args []string) (Answer, error) {
	d := &dump.Dump{Ctx: ctx, Announce: announceStop(s)}
	id, err := parseGoroutine(args, &d.Force)
	if err != nil {
		return nil, err
	}
	one, err := d.Goroutine(id)
	if err != nil {
		return nil, err
	}
	if one == "" {
		return nil, fmt.Errorf("goroutine: there is no goroutine %d now; it may have ended", id)
	}
	return OneGoroutine(d, id, one), nil
}

// OneGoroutine returns the answer of the command goroutine. text is the goroutine as the
// runtime prints it.
func OneGoroutine(d *dump.Dump, id uint64, text string) Answer {
	return &goroutineAnswer{document.Of("goroutine"), id, strings.TrimSpace(text), d.One(text)}
}

package command

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/gomanhole/oneshot/internal/document"
	"github.com/gomanhole/oneshot/internal/dump"
	"github.com/gomanhole/oneshot/internal/plaintext"
	"github.com/gomanhole/oneshot/internal/values"
)

// sectionCommands are the commands about Options.Sections.
var sectionCommands = []*Command{
	{
		Name: "sections", Args: "[NAME]", Summary: "list the program's own parts of a bundle, or show one",
		Help: "oneshot bundle PID puts all of them into its archive. The program's own function writes a section, which can be\n" +
			"anything; at a terminal, its control characters are not shown." + jsonHelp,
		Flags: []string{jsonFlag},
		Run:   runSections, complete: completeSections,
	},
}

func runSections(ctx context.Context, s Session, args []string) error {
	rest, form := CutJSON(args)
	if len(rest) == 0 {
		return answers(findSections)(ctx, s, args)
	}
	write := s.Given().Sections[rest[0]]
	switch {
	case len(rest) > 1:
		return fmt.Errorf("sections: one section at a time, not %q", plaintext.Clip(strings.Join(rest, " "), 80))
	case write == nil:
		return fmt.Errorf("sections: no section %q; sections lists them", plaintext.Clip(rest[0], 40))
	case form != AsText:
		return noJSON("sections", "the program itself writes a section")
	}
	return values.Contain(write(ctx, s))
}

// sectionsAnswer is the list of the sections.
type sectionsAnswer struct{ document.Lines }

func findSections(_ context.Context, s Session, _ []string) (Answer, error) {
	names := slices.Sorted(maps.Keys(s.Given().Sections))
	return &sectionsAnswer{document.Lines{Head: document.Of("sections"), Lines: append([]string{}, names...)}}, nil
}

// Text implements Answer.
func (a *sectionsAnswer) Text(t *dump.Writer) {
	if len(a.Lines.Lines) == 0 {
		t.Printf("the program has no sections of its own (Options.Sections)\n")
	}
	for _, name := range a.Lines.Lines {
		t.Printf("%s\n", plaintext.Line(name))
	}
}

func completeSections(s Session, _ []string, _ string) []string {
	return slices.Collect(maps.Keys(s.Given().Sections))
}

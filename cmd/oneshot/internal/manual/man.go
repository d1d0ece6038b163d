//go:build unix

package manual

import (
	"fmt"
	"strings"
)

// Page is a man page.
type Page struct{ Name, Text string }

// Pages returns the man pages of a program: one for the program, and one for each command.
func (p *Program) Pages(version string) []Page {
	pages := make([]Page, 0, len(p.Commands))
	for i := range p.Commands {
		pages = append(pages, p.page(&p.Commands[i], version))
	}
	return pages
}

// page writes one page in the macros of man(7).
func (p *Program) page(c *Command, version string) Page {
	name := p.Name
	if c.Name != "" {
		name += "-" + c.Name
	}
	var b strings.Builder
	fmt.Fprintf(&b, ".\\\" Made by %s man; do not edit.\n", p.Name)
	fmt.Fprintf(&b, ".TH %q 1 \"\" %q\n", strings.ToUpper(name), p.Name+" "+version)
	fmt.Fprintf(&b, ".SH NAME\n%s \\- %s\n", escape(name), escape(c.Summary))
	b.WriteString(".SH SYNOPSIS\n.nf\n")
	writeLines(&b, strings.Split(c.Usage, "\n"))
	b.WriteString(".fi\n.SH DESCRIPTION\n")
	writeText(&b, c.Help)
	if len(c.Flags) > 0 {
		b.WriteString(".SH OPTIONS\n")
		for _, f := range c.Flags {
			fmt.Fprintf(&b, ".TP\n\\fB\\-%s\\fR", escape(f.Name))
			if f.Value != "" {
				fmt.Fprintf(&b, " \\fI%s\\fR", escape(f.Value))
			}
			fmt.Fprintf(&b, "\n%s\n", escape(f.Summary))
		}
	}
	if c.Name == "" {
		b.WriteString(".SH COMMANDS\n")
		for _, other := range p.Commands[1:] {
			fmt.Fprintf(&b, ".TP\n\\fB%s\\-%s\\fR(1)\n%s\n", escape(p.Name), escape(other.Name), escape(other.Summary))
		}
		b.WriteString(".SH COMMANDS FOR A PROCESS\n")
		for _, w := range c.Commands {
			fmt.Fprintf(&b, ".TP\n\\fB%s\\fR\n%s\n", escape(w.Name), escape(w.Summary))
		}
	} else {
		fmt.Fprintf(&b, ".SH SEE ALSO\n\\fB%s\\fR(1)\n", escape(p.Name))
	}
	return Page{name + ".1", b.String()}
}

// writeText writes paragraphs. An indented line, or several, stays as it is.
func writeText(b *strings.Builder, text string) {
	literal, between := false, true
	for line := range strings.Lines(strings.TrimSpace(text)) {
		line = strings.TrimRight(line, "\n")
		indented := strings.HasPrefix(line, "\t") || strings.HasPrefix(line, " ")
		switch {
		case line == "":
			between = true
			continue
		case indented && !literal:
			b.WriteString(".PP\n.RS 4\n.nf\n")
		case !indented && literal:
			b.WriteString(".fi\n.RE\n.PP\n")
		case between && indented:
			b.WriteString("\n")
		case between:
			b.WriteString(".PP\n")
		}
		literal, between = indented, false
		writeLines(b, []string{strings.TrimPrefix(line, "\t")})
	}
	if literal {
		b.WriteString(".fi\n.RE\n")
	}
}

func writeLines(b *strings.Builder, lines []string) {
	for _, line := range lines {
		b.WriteString(escape(line) + "\n")
	}
}

// escape escapes what roff would interpret.
func escape(s string) string {
	s = strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, "`", `\(ga`, "^", `\(ha`, "~", `\(ti`, "\n", " ").Replace(s)
	if strings.HasPrefix(s, ".") {
		s = `\&` + s
	}
	return s
}

//go:build unix

package manual

import (
	"fmt"
	"strings"
)

func (p *Program) zsh(listing string) string {
	var b strings.Builder
	fmt.Fprintf(&b, `#compdef %[1]s
# zsh completion for %[1]s. Save it as _%[1]s in a folder of $fpath, or
#	source <(%[1]s completion zsh)

_%[1]s_processes() {
	local -a processes
	processes=(${(f)"$(_call_program processes %[1]s %[2]s 2>/dev/null)"})
	_describe process processes
}

_%[1]s() {
	local -a commands follow
	commands=(
`, p.Name, listing)
	for _, c := range p.Commands[1:] {
		fmt.Fprintf(&b, "\t\t'%s:%s'\n", c.Name, oneLine(c.Summary))
	}
	b.WriteString("\t)\n\tif ((CURRENT == 2)) && [[ $words[2] != -* ]]; then\n")
	fmt.Fprintf(&b, "\t\t_describe command commands\n\t\t_%s_processes\n\t\treturn\n\tfi\n\tlocal name=$words[2]\n\tcase $name in\n", p.Name)
	for _, c := range p.Commands[1:] {
		fmt.Fprintf(&b, "\t%s)\n\t\tshift words\n\t\t((CURRENT--))\n", c.Name)
		p.zshCommand(&b, &c)
	}
	b.WriteString("\t*)\n")
	p.zshCommand(&b, &p.Commands[0])
	fmt.Fprintf(&b, `	esac
}
if [[ $funcstack[1] == _%[1]s ]]; then
	_%[1]s "$@"
else
	compdef _%[1]s %[1]s
fi
`, p.Name)
	return b.String()
}

func (p *Program) zshCommand(b *strings.Builder, c *Command) {
	if len(c.Commands) > 0 {
		b.WriteString("\t\tfollow=(\n")
		for _, w := range c.Commands {
			fmt.Fprintf(b, "\t\t\t'%s:%s'\n", w.Name, oneLine(w.Summary))
		}
		b.WriteString("\t\t)\n")
	}
	b.WriteString("\t\t_arguments \\\n")
	for _, f := range c.Flags {
		value := ""
		switch {
		case f.Folder:
			value = ":" + f.Value + ":_files -/"
		case f.Value != "":
			value = ":" + f.Value + ": "
		}
		fmt.Fprintf(b, "\t\t\t'-%s[%s]%s' \\\n", f.Name, oneLine(f.Summary), value)
	}
	action := ""
	switch c.Operand {
	case Process:
		action = "_" + p.Name + "_processes"
	case File:
		action = "_files"
	case Folder:
		action = "_files -/"
	case OneWord:
		action = "(" + strings.Join(c.Words, " ") + ")"
	}
	if action != "" {
		fmt.Fprintf(b, "\t\t\t'1:argument:%s' \\\n", action)
	}
	if len(c.Commands) > 0 {
		b.WriteString("\t\t\t'2:command:{_describe command follow}' \\\n")
	}
	b.WriteString("\t\t\t'*: : '\n\t\t;;\n")
}

func (p *Program) fish(listing string) string {
	var b strings.Builder
	all := make([]string, 0, len(p.Commands))
	for _, c := range p.Commands[1:] {
		all = append(all, c.Name)
	}
	fmt.Fprintf(&b, `# fish completion for %[1]s. To use it:
#	%[1]s completion fish | source

complete -c %[1]s -f
function __%[1]s_first
	test (count (commandline -opc)) -eq 1
end
function __%[1]s_session
	set -l words (commandline -opc)
	test (count $words) -ge 2; and string match -qr '^([0-9]+|.*/.*|@.*|-.*)$' -- $words[2]
end
`, p.Name)
	first := "__" + p.Name + "_first"
	for _, c := range p.Commands {
		condition := "__fish_seen_subcommand_from " + c.Name
		if c.Name == "" {
			condition = "not __fish_seen_subcommand_from " + strings.Join(all, " ")
		} else {
			fmt.Fprintf(&b, "complete -c %s -n '%s' -a '%s' -d '%s'\n", p.Name, first, c.Name, oneLine(c.Summary))
		}
		for _, f := range c.Flags {
			value := ""
			switch {
			case f.Folder:
				value = " -xa '(__fish_complete_directories)'"
			case f.Value != "":
				value = " -x"
			}
			fmt.Fprintf(&b, "complete -c %s -n '%s' -o '%s'%s -d '%s'\n", p.Name, condition, f.Name, value, oneLine(f.Summary))
		}
		if c.Name == "" {
			condition = first
		}
		switch c.Operand {
		case Process:
			fmt.Fprintf(&b, "complete -c %[1]s -n '%[2]s' -a '(%[1]s %[3]s 2>/dev/null)'\n", p.Name, condition, listing)
		case File, Folder:
			fmt.Fprintf(&b, "complete -c %s -n '%s' -F\n", p.Name, condition)
		case OneWord:
			fmt.Fprintf(&b, "complete -c %s -n '%s' -a '%s'\n", p.Name, condition, strings.Join(c.Words, " "))
		}
		for _, w := range c.Commands {
			fmt.Fprintf(&b, "complete -c %[1]s -n '__%[1]s_session' -a '%[2]s' -d '%[3]s'\n", p.Name, w.Name, oneLine(w.Summary))
		}
	}
	return b.String()
}

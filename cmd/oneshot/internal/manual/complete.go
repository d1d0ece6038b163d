//go:build unix

package manual

import (
	"fmt"
	"strings"
)

// Shells are the shells for which there is a completion script.
var Shells = []string{"bash", "zsh", "fish"}

// Script returns the completion script for a shell, or "" if the shell is not known. The
// list of the processes comes from the program itself, with the arguments in listing.
func (p *Program) Script(shell, listing string) string {
	switch shell {
	case "bash":
		return p.bash(listing)
	case "zsh":
		return p.zsh(listing)
	case "fish":
		return p.fish(listing)
	}
	return ""
}

// flagWords returns the flags with their dashes. Those with or those without a value.
func flagWords(flags []Flag, withValue bool) (words []string) {
	for _, f := range flags {
		if (f.Value != "") == withValue {
			words = append(words, "-"+f.Name)
		}
	}
	return words
}

// names returns the names of words.
func names(words []Word) string {
	all := make([]string, len(words))
	for i, w := range words {
		all[i] = w.Name
	}
	return strings.Join(all, " ")
}

func (p *Program) bash(listing string) string {
	var b strings.Builder
	fmt.Fprintf(&b, `# bash completion for %[1]s. To use it:
#	source <(%[1]s completion bash)

_%[1]s() {
	local cur=${COMP_WORDS[COMP_CWORD]} flags= values= operand= words= follow= folders= command= first= i w
	COMPREPLY=()
	if ((COMP_CWORD > 1)); then
		command=${COMP_WORDS[1]}
	fi
	case $command in
`, p.Name)
	for _, c := range p.Commands[1:] {
		fmt.Fprintf(&b, "\t%s)\n", c.Name)
		p.bashCommand(&b, &c)
	}
	b.WriteString("\t*)\n\t\tcommand=\n")
	p.bashCommand(&b, &p.Commands[0])
	all := make([]string, 0, len(p.Commands))
	for _, c := range p.Commands[1:] {
		all = append(all, c.Name)
	}
	fmt.Fprintf(&b, `	esac
	local start=1
	[[ -n $command ]] && start=2
	# The arguments before the word, without the flags and their values.
	local -a before=()
	for ((i = start; i < COMP_CWORD; i++)); do
		w=${COMP_WORDS[i]}
		if [[ $w == -* && ${#before[@]} -lt 1 || $w == -* && -n $command ]]; then
			if [[ " $values " == *" $w "* ]]; then
				((i++))
				if ((i == COMP_CWORD)); then
					[[ " $folders " == *" $w "* ]] && COMPREPLY=($(compgen -d -- "$cur"))
					return
				fi
			fi
			continue
		fi
		before+=("$w")
	done
	if [[ $cur == -* && (-n $command || ${#before[@]} -eq 0) ]]; then
		COMPREPLY=($(compgen -W "$flags $values" -- "$cur"))
		return
	fi
	case ${#before[@]} in
	0)
		case $operand in
		process) COMPREPLY=($(compgen -W "$(%[1]s %[2]s 2>/dev/null)" -- "$cur")) ;;
		file) COMPREPLY=($(compgen -f -- "$cur")) ;;
		folder) COMPREPLY=($(compgen -d -- "$cur")) ;;
		word) COMPREPLY=($(compgen -W "$words" -- "$cur")) ;;
		esac
		if [[ -z $command && COMP_CWORD -eq 1 ]]; then
			COMPREPLY+=($(compgen -W "%[3]s" -- "$cur"))
		fi
		;;
	1)
		COMPREPLY=($(compgen -W "$follow" -- "$cur"))
		;;
	esac
}
complete -F _%[1]s %[1]s
`, p.Name, listing, strings.Join(all, " "))
	return b.String()
}

// operandNames are the operands in the script for bash.
var operandNames = map[Operand]string{Process: "process", File: "file", Folder: "folder", OneWord: "word"}

func (p *Program) bashCommand(b *strings.Builder, c *Command) {
	var folders []string
	for _, f := range c.Flags {
		if f.Folder {
			folders = append(folders, "-"+f.Name)
		}
	}
	for _, v := range []struct{ name, value string }{
		{"flags", strings.Join(flagWords(c.Flags, false), " ")}, {"values", strings.Join(flagWords(c.Flags, true), " ")},
		{"folders", strings.Join(folders, " ")}, {"operand", operandNames[c.Operand]}, {"words", strings.Join(c.Words, " ")},
		{"follow", names(c.Commands)},
	} {
		if v.value != "" {
			fmt.Fprintf(b, "\t\t%s='%s'\n", v.name, v.value)
		}
	}
	b.WriteString("\t\t;;\n")
}

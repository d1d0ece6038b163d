// Package commandnames names the console's commands and their flags, for the
// completion of the client. A test of package oneshot compares it with the
// commands themselves.
package commandnames

// Commands are the built-in commands with their flags.
var Commands = map[string][]string{
	"blockrate":     nil,
	"build":         nil,
	"deactivate":    nil,
	"env":           nil,
	"exit":          nil,
	"fds":           {"-n"},
	"freeosmem":     nil,
	"gc":            nil,
	"goroutine":     {"-force"},
	"help":          nil,
	"history":       nil,
	"locals":        nil,
	"maxprocs":      nil,
	"mem":           nil,
	"memlimit":      nil,
	"metrics":       nil,
	"mutexfraction": nil,
	"print":         {"-maps"},
	"proc":          nil,
	"profile":       {"-seconds", "-o"},
	"quit":          nil,
	"sessions":      nil,
	"setgc":         nil,
	"signals":       nil,
	"stacks":        {"-n", "-state", "-diff", "-full", "-go", "-pprof", "-o", "-force"},
	"stderr":        nil,
	"threads":       {"-n"},
	"trace":         {"-seconds", "-o"},
}

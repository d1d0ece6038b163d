package image

import (
	"strconv"
	"strings"

	"github.com/gomanhole/oneshot/internal/image/layout"
)

// frame is one call, inlined or not.
type frame struct {
	function string
	text     string // its two lines in a traceback; empty for C and assembly, which are not shown
	id       layout.Offset
}

// maxInlined bounds how many calls may be inlined into one function at one place.
const maxInlined = 200

// calls appends the calls at pc, the innermost first: those that the compiler has
// inlined, and the function itself (inlineUnwinder in runtime/symtabinl.go).
func (p *Program) calls(to []frame, f *function, pc uint64) []frame {
	tree, ok := p.funcdata(f, p.Layout.FuncData.InlTree)
	l := p.Layout.InlinedCall
	for range maxInlined {
		file, line := p.position(f, pc)
		index := int32(-1)
		if ok {
			index, _ = p.value(f, p.pcdata(f, p.Layout.FuncData.PCDataInlTreeIndex), pc)
		}
		if index < 0 {
			return append(to, newFrame(f.name, file, line, f.id))
		}
		call, err := p.record(tree+uint64(index)*uint64(l.Size), l.Size)
		if err != nil {
			return append(to, newFrame(f.name, file, line, f.id))
		}
		name := text(p.symbols.names, uint64(call.half(l.NameOff)))
		to = append(to, newFrame(name, file, line, layout.Offset(call.byte(l.FuncID))))
		pc = f.entry + uint64(call.half(l.ParentPC))
	}
	return to
}

func newFrame(function, file string, line int, id layout.Offset) frame {
	f := frame{function: function, id: id}
	if strings.Contains(function, ".") && function != "runtime.goexit" { // the names of C and assembly have no dot
		f.text = plain(printed(function)) + "()\n" + position(file, line)
	}
	return f
}

// position returns the line of a traceback that says where a call is.
func position(file string, line int) string {
	return "\t" + plain(file) + ":" + strconv.Itoa(line) + "\n"
}

// creator is a go statement.
type creator struct {
	function, position string // as a traceback has them
	ok                 bool   // it is known
}

// creator returns the go statement before pc.
func (p *Program) creator(pc uint64) creator {
	if c, ok := p.creators[pc]; ok {
		return c
	}
	var c creator
	if f, ok := p.find(pc); ok {
		call := pc
		if call > f.entry {
			call-- // gopc is the return address
		}
		c = creator{plain(printed(f.name)), position(p.position(f, call)), true}
	}
	if p.hold(len(c.function) + len(c.position)) {
		p.creators[pc] = c
	}
	return c
}

// start is the function that a goroutine began with.
type start struct {
	id      layout.Offset
	runtime bool // it belongs to the runtime
}

// start returns what is known about the function at pc.
func (p *Program) start(pc uint64) *start {
	if s, ok := p.starts[pc]; ok {
		return s
	}
	s := &start{}
	if f, ok := p.find(pc); ok {
		s.id, s.runtime = f.id, strings.HasPrefix(f.name, "runtime.")
	}
	if p.hold(0) {
		p.starts[pc] = s
	}
	return s
}

// hold reports whether n bytes, and the entry of a map, may be kept.
func (p *Program) hold(n int) bool {
	p.held += n + 100
	return p.held < maxHeld
}

// appendFrames appends the calls of a stack as a traceback has them, at most about
// maxText bytes. It leaves out wrapper functions: they are made by the compiler, and
// their callee is shown (elideWrapperCalling in runtime/traceback.go). If nothing of the
// program would be left, it shows them.
func (p *Program) appendFrames(to []byte, sites []*site) []byte {
	if with, visible := p.appendVisible(to, sites, false); visible {
		return with
	}
	to, _ = p.appendVisible(to, sites, true)
	return to
}

// appendVisible does what appendFrames does, with all wrapper functions or without them. It
// reports whether there is a call that is not the runtime's.
func (p *Program) appendVisible(to []byte, sites []*site, wrappers bool) (_ []byte, visible bool) {
	ids := p.Layout.FuncID
	callee := layout.Offset(0)
	for _, s := range sites {
		for i := range s.calls {
			f := &s.calls[i]
			elided := !wrappers && f.id == ids.Wrapper && callee != ids.GoPanic && callee != ids.SigPanic && callee != ids.PanicWrap
			if callee = f.id; !elided {
				to = append(to, f.text...)
				visible = visible || !strings.HasPrefix(f.function, "runtime.")
			}
		}
		if len(to) > maxText {
			break
		}
	}
	return to, visible
}

// printed returns the name of a function as a traceback has it: with dots for type
// arguments (funcNameForPrint in runtime/symtab.go).
func printed(name string) string {
	open, end := strings.IndexByte(name, '['), strings.LastIndexByte(name, ']')
	if open < 0 || end <= open {
		return name
	}
	return name[:open] + "[...]" + name[end+1:]
}

// plain returns a name without newlines, which would be taken for the end of a line.
func plain(s string) string { return strings.ReplaceAll(s, "\n", `\n`) }

package image

import (
	"github.com/gomanhole/oneshot/internal/image/layout"
)

// frame is one call, inlined or not.
type frame struct {
	function string
	file     string
	line     int
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
			return append(to, frame{f.name, file, line, f.id})
		}
		call, err := p.record(tree+uint64(index)*uint64(l.Size), l.Size)
		if err != nil {
			return append(to, frame{f.name, file, line, f.id})
		}
		name := text(p.symbols.names, uint64(call.half(l.NameOff)))
		to = append(to, frame{name, file, line, layout.Offset(call.byte(l.FuncID))})
		pc = f.entry + uint64(call.half(l.ParentPC))
	}
	return to
}

// creator returns the go statement at pc.
func (p *Program) creator(pc uint64) (frame, bool) {
	f, ok := p.find(pc)
	if !ok {
		return frame{}, false
	}
	if pc > f.entry {
		pc-- // gopc is the return address
	}
	file, line := p.position(f, pc)
	return frame{f.name, file, line, f.id}, true
}

// visible removes wrapper functions that a traceback does not show: they are made by
// the compiler, and their callee is shown (elideWrapperCalling in
// runtime/traceback.go).
func (p *Program) visible(frames []frame) []frame {
	ids := p.Layout.FuncID
	kept := frames[:0]
	callee := layout.Offset(0)
	for _, f := range frames {
		elided := f.id == ids.Wrapper && callee != ids.GoPanic && callee != ids.SigPanic && callee != ids.PanicWrap
		callee = f.id
		if !elided {
			kept = append(kept, f)
		}
	}
	return kept
}

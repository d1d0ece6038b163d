package fromdwarf

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/gomanhole/oneshot/internal/image/layout"
)

// The runtime's variables with texts.
const (
	waitReasonStrings = "runtime.waitReasonStrings"
	statusStrings     = "runtime.gStatusStrings"
	idleInSynctest    = "runtime.isIdleInSynctest"
)

// Bounds of what a binary may claim. Go 1.27 has 47 wait reasons; the longest text
// has 29 bytes.
const (
	maxTexts = 256
	maxText  = 100
)

// require returns an error if the binary has not what every reader needs.
func (f *found) require(l *layout.Layout) error {
	for _, n := range []layout.Offset{
		l.G.SchedSP, l.G.SchedPC, l.G.AtomicStatus, l.G.GoID, l.G.WaitReason, l.G.StackLo, l.G.StackHi,
		l.ModuleData.PCHeader, l.ModuleData.Text, l.Func.FuncID, l.InlinedCall.ParentPC, l.Status.Waiting,
		l.FuncID.GoExit, l.FuncData.InlTree,
	} {
		if !n.Known() {
			return errors.New("the DWARF does not describe the runtime")
		}
	}
	return nil
}

// traits derives the rules of the traceback from what the runtime has.
func (f *found) traits(l *layout.Layout) {
	leaked := l.Status.Leaked.Known()
	l.Traits = layout.Traits{
		LabelList:       !l.LabelMap.Size.Known(),
		DurableMark:     l.G.Bubble.Known(),
		DurableWaiting:  leaked,
		ShowFinalizers:  l.FuncID.RunCleanups.Known(),
		HeaderTextStart: l.PCHeader.TextStart.Known(),
	}
}

// texts reads the runtime's texts from the binary's data.
func (f *found) texts(l *layout.Layout, read ReadMemory) error {
	var err error
	if l.WaitReasons, err = f.strings(waitReasonStrings, read); err != nil {
		return err
	}
	if l.Statuses, err = f.strings(statusStrings, read); err != nil {
		return err
	}
	v, ok := f.variables[idleInSynctest]
	if !ok {
		return nil // until 1.23
	}
	idle := make([]byte, min(max(v.array.Count, 0), 64))
	if err := read(v.addr, idle); err != nil {
		return fmt.Errorf("%s: %w", idleInSynctest, err)
	}
	for i, b := range idle {
		if b != 0 {
			l.Idle |= 1 << i
		}
	}
	return nil
}

// strings returns the texts of an array of strings, each ended by a newline.
func (f *found) strings(name string, read ReadMemory) (string, error) {
	v, ok := f.variables[name]
	if !ok || v.array.Count < 1 || v.array.Count > maxTexts {
		return "", fmt.Errorf("the DWARF does not describe %s", name)
	}
	headers := make([]byte, v.array.Count*16)
	if err := read(v.addr, headers); err != nil {
		return "", fmt.Errorf("%s: %w", name, err)
	}
	var all strings.Builder
	for ; len(headers) > 0; headers = headers[16:] {
		addr, n := binary.LittleEndian.Uint64(headers), binary.LittleEndian.Uint64(headers[8:])
		if n > maxText {
			return "", fmt.Errorf("%s has a text of %d bytes", name, n)
		}
		text := make([]byte, n)
		if n > 0 {
			if err := read(addr, text); err != nil {
				return "", fmt.Errorf("%s: %w", name, err)
			}
		}
		all.WriteString(strings.ReplaceAll(string(text), "\n", " "))
		all.WriteByte('\n')
	}
	return all.String(), nil
}

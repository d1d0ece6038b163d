package image

import "fmt"

// Count counts the goroutines, with a few of the runtime's own. It reads no stacks, so it
// takes a small part of the time of Snapshot.
func (p *Program) Count() (int, error) {
	p.work = maxWork
	list, err := p.goroutines()
	if err != nil {
		return 0, err
	}
	n, r := 0, newRecords(p)
	for len(list) > 0 {
		part := list[:min(len(list), together)]
		list = list[len(part):]
		r.read(part)
		if _, err := p.word(p.allgs); err != nil {
			return 0, fmt.Errorf("the program's memory can no longer be read: %w", err) // it has ended
		}
		for _, g := range r.list[:len(part)] {
			if g != nil && !p.dead(g) {
				n++
			}
		}
	}
	return n, nil
}

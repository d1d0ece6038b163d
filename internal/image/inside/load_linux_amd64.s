//go:build gc && go1.26 && !go1.28 && !oneshot_portable && !msan && !asan

#include "textflag.h"

// func load(addr uintptr) uintptr
TEXT ·load(SB), NOSPLIT, $0-16
	MOVQ	addr+0(FP), AX
	MOVQ	(AX), AX
	MOVQ	AX, ret+8(FP)
	RET

// func getg() uintptr
TEXT ·getg(SB), NOSPLIT, $0-8
	MOVQ	(TLS), AX
	MOVQ	AX, ret+0(FP)
	RET

// func loadPointer(addr uintptr) unsafe.Pointer
TEXT ·loadPointer(SB), NOSPLIT, $0-16
	MOVQ	addr+0(FP), AX
	MOVQ	(AX), AX
	MOVQ	AX, ret+8(FP)
	RET

// func prefetch(addr uintptr, n int)
TEXT ·prefetch(SB), NOSPLIT, $0-16
	MOVQ	addr+0(FP), AX
	MOVQ	n+8(FP), CX
line:
	PREFETCHT0	(AX)
	ADDQ	$64, AX
	SUBQ	$64, CX
	JGT	line
	RET

// func copyWords(to *uint64, from uintptr, n int)
// The processor does not change the order of loads.
TEXT ·copyWords(SB), NOSPLIT, $0-24
	MOVQ	to+0(FP), DI
	MOVQ	from+8(FP), SI
	MOVQ	n+16(FP), CX
	TESTQ	CX, CX
	JZ	done
loop:
	MOVQ	(SI), AX
	MOVQ	AX, (DI)
	ADDQ	$8, SI
	ADDQ	$8, DI
	DECQ	CX
	JNZ	loop
done:
	RET

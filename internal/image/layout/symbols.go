package layout

// ModuleData is runtime.moduledata, what the linker knows about a module. A slice
// is at the offset of its pointer; its length follows after 8 bytes.
type ModuleData struct {
	Size        Offset
	PCHeader    Offset `field:"pcHeader"` // *pcHeader, also the first word
	FuncNameTab Offset `field:"funcnametab"`
	CUTab       Offset `field:"cutab"` // []uint32
	FileTab     Offset `field:"filetab"`
	PCTab       Offset `field:"pctab"`
	PCLnTable   Offset `field:"pclntable"`
	FTab        Offset `field:"ftab"` // []functab
	FindFuncTab Offset `field:"findfunctab"`
	MinPC       Offset `field:"minpc"`
	MaxPC       Offset `field:"maxpc"`
	Text        Offset `field:"text"`
	EText       Offset `field:"etext"`
	NoPtrData   Offset `field:"noptrdata"`
	ENoPtrData  Offset `field:"enoptrdata"`
	Data        Offset `field:"data"`
	EData       Offset `field:"edata"`
	BSS         Offset `field:"bss"`
	EBSS        Offset `field:"ebss"`
	NoPtrBSS    Offset `field:"noptrbss"`
	ENoPtrBSS   Offset `field:"enoptrbss"`
	Types       Offset `field:"types"`
	ETypes      Offset `field:"etypes"`
	ROData      Offset `field:"rodata"`
	GoFunc      Offset `field:"gofunc"`      // base of the offsets in Func's funcdata
	TextSectMap Offset `field:"textsectmap"` // []textsect
	HasMain     Offset `field:"hasmain"`
	Bad         Offset `field:"bad"`
	Next        Offset `field:"next"` // *moduledata
}

// TextSect is runtime.textsect, a text section. A program has more than one if it is
// large and linked externally.
type TextSect struct {
	Size     Offset
	VAddr    Offset `field:"vaddr"` // the section's place among the offsets
	End      Offset `field:"end"`
	BaseAddr Offset `field:"baseaddr"` // its address
}

// PCHeader is runtime.pcHeader, the begin of .gopclntab.
type PCHeader struct {
	Size           Offset
	Magic          Offset `field:"magic"` // uint32, PCLnTabMagic
	MinLC          Offset `field:"minLC"`
	PtrSize        Offset `field:"ptrSize"`
	NFunc          Offset `field:"nfunc"`
	NFiles         Offset `field:"nfiles"`
	TextStart      Offset `field:"textStart"` // until 1.25
	FuncNameOffset Offset `field:"funcnameOffset"`
	CUOffset       Offset `field:"cuOffset"`
	FileTabOffset  Offset `field:"filetabOffset"`
	PCTabOffset    Offset `field:"pctabOffset"`
	PCLnOffset     Offset `field:"pclnOffset"`
}

// PCLnTabMagic is the first word of .gopclntab since Go 1.20.
const PCLnTabMagic = 0xfffffff1

// FuncTab is runtime.functab.
type FuncTab struct {
	Size     Offset
	EntryOff Offset `field:"entryoff"` // uint32, from moduledata.text
	FuncOff  Offset `field:"funcoff"`  // uint32, from moduledata.pclntable
}

// Func is runtime._func. After it come npcdata and then nfuncdata numbers of 4
// bytes: the offset of a table in pctab (0: none), and the offset of funcdata from
// moduledata.gofunc (all bits set: none).
type Func struct {
	Size        Offset
	EntryOff    Offset `field:"entryOff"` // uint32
	NameOff     Offset `field:"nameOff"`  // int32
	Args        Offset `field:"args"`     // int32
	DeferReturn Offset `field:"deferreturn"`
	PCSP        Offset `field:"pcsp"`   // uint32
	PCFile      Offset `field:"pcfile"` // uint32
	PCLn        Offset `field:"pcln"`   // uint32
	NPCData     Offset `field:"npcdata"`
	CUOffset    Offset `field:"cuOffset"`
	StartLine   Offset `field:"startLine"`
	FuncID      Offset `field:"funcID"` // uint8, see FuncID
	Flag        Offset `field:"flag"`   // uint8, FuncFlagTopFrame and others
	NFuncData   Offset `field:"nfuncdata"`
}

// The bits of Func.Flag (internal/abi.FuncFlag).
const (
	FuncFlagTopFrame = 1 << iota // the last frame of a stack
	FuncFlagSPWrite              // writes SP: its tables cannot be used
	FuncFlagAsm
)

// InlinedCall is runtime.inlinedCall, an entry of an inline tree.
type InlinedCall struct {
	Size      Offset
	FuncID    Offset `field:"funcID"`
	NameOff   Offset `field:"nameOff"`   // int32
	ParentPC  Offset `field:"parentPc"`  // int32, from the function's entry
	StartLine Offset `field:"startLine"` // int32
}

// FuncID has the numbers of _func.funcID for functions that a traceback treats
// specially. All others are FuncIDNormal, which is 0.
type FuncID struct {
	Abort            Offset `const:"internal/abi.FuncID_abort"`
	AsmCgoCall       Offset `const:"internal/abi.FuncID_asmcgocall"`
	AsyncPreempt     Offset `const:"internal/abi.FuncID_asyncPreempt"`
	CgoCallback      Offset `const:"internal/abi.FuncID_cgocallback"`
	CoroStart        Offset `const:"internal/abi.FuncID_corostart"`
	DebugCall        Offset `const:"internal/abi.FuncID_debugCallV2"`
	GCBgMarkWorker   Offset `const:"internal/abi.FuncID_gcBgMarkWorker"`
	GoExit           Offset `const:"internal/abi.FuncID_goexit"`
	GoGo             Offset `const:"internal/abi.FuncID_gogo"`
	GoPanic          Offset `const:"internal/abi.FuncID_gopanic"`
	HandleAsyncEvent Offset `const:"internal/abi.FuncID_handleAsyncEvent"`
	MCall            Offset `const:"internal/abi.FuncID_mcall"`
	MoreStack        Offset `const:"internal/abi.FuncID_morestack"`
	MStart           Offset `const:"internal/abi.FuncID_mstart"`
	PanicWrap        Offset `const:"internal/abi.FuncID_panicwrap"`
	RT0Go            Offset `const:"internal/abi.FuncID_rt0_go"`
	RuntimeMain      Offset `const:"internal/abi.FuncID_runtime_main"`
	// RunFinalizers is runtime.runFinalizers, until 1.24 runtime.runfinq.
	RunFinalizers     Offset `const:"internal/abi.FuncID_runFinalizers|internal/abi.FuncID_runfinq"`
	RunCleanups       Offset `const:"internal/abi.FuncID_runCleanups"` // from 1.25
	SigPanic          Offset `const:"internal/abi.FuncID_sigpanic"`
	SystemStack       Offset `const:"internal/abi.FuncID_systemstack"`
	SystemStackSwitch Offset `const:"internal/abi.FuncID_systemstack_switch"`
	Wrapper           Offset `const:"internal/abi.FuncIDWrapper"`
}

// FuncData has the indexes of tables after a Func.
type FuncData struct {
	PCDataUnsafePoint  Offset `const:"internal/abi.PCDATA_UnsafePoint"`
	PCDataInlTreeIndex Offset `const:"internal/abi.PCDATA_InlTreeIndex"`
	InlTree            Offset `const:"internal/abi.FUNCDATA_InlTree"`
	WrapInfo           Offset `const:"internal/abi.FUNCDATA_WrapInfo"`
}

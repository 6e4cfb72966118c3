"""Language models of 2 layers and 32 columns with random weights, made in the process, on disk."""

import json

import torch
import transformers
from tokenizers import Tokenizer, decoders, pre_tokenizers, processors, trainers
from tokenizers.models import BPE, WordLevel

TEXT = (
    "how do i undo a commit run git reset soft head keeps your changes write me haiku about rain falls on "
    "the tin roof what is two plus five answer yes no it depends sorry cannot help with that end"
)
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
GEMMA = (
    "{{ bos_token }}{% for m in messages %}<start_of_turn>"
    "{{ 'model' if m.role == 'assistant' else m.role }}\n{{ m.content | trim }}<end_of_turn>\n{% endfor %}"
)
SIZE = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "intermediate_size": 48,
    "num_attention_heads": 4,
}
KINDS = ("llama", "qwen3", "gemma3", "bert")
PROMPTS = ["how do I undo a commit", "write me a haiku about rain", "what is two plus five", ""]
RESPONSES = [
    "run git reset soft head it keeps your changes",
    "rain falls on the tin roof " * 4,
    "five",
    "sorry I cannot help with that",
]


def bpe(*special):
    """Byte-level BPE: every text has tokens, and the space before a word is part of it."""
    made = Tokenizer(BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, initial_alphabet=alphabet, special_tokens=list(special), show_progress=False
    )
    made.train_from_iterator([TEXT], trainer)
    return made


def words():
    """BERT's way: [CLS] a [SEP] b [SEP] with segments 0 and 1."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    made = Tokenizer(
        WordLevel({w: i for i, w in enumerate(special + TEXT.split())}, unk_token="[UNK]")
    )
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    return made


def tokenizer(kind):
    """The tokenizer of a kind: llama's has a BOS and no pad, qwen3's pad is its EOS."""
    if kind == "bert":
        return transformers.PreTrainedTokenizerFast(
            tokenizer_object=words(),
            unk_token="[UNK]",
            pad_token="[PAD]",
            cls_token="[CLS]",
            sep_token="[SEP]",
            model_max_length=64,
            model_input_names=["input_ids", "token_type_ids", "attention_mask"],
        )
    if kind == "gemma3":
        special = ("<pad>", "<eos>", "<bos>", "<start_of_turn>", "<end_of_turn>")
        made = transformers.PreTrainedTokenizerFast(
            tokenizer_object=bpe(*special), pad_token="<pad>", eos_token="<eos>", bos_token="<bos>"
        )
        made.chat_template = GEMMA
        return made
    special = ("<s>", "<|im_start|>", "<|im_end|>", "<|end|>")
    given = {"bos_token": "<s>"} if kind == "llama" else {"pad_token": "<|im_end|>"}
    made = transformers.PreTrainedTokenizerFast(
        tokenizer_object=bpe(*special), eos_token="<|im_end|>", padding_side="left", **given
    )
    made.chat_template = ("{{ bos_token }}" if kind == "llama" else "") + CHATML
    return made


def config(kind, vocabulary):
    """The configuration of a kind."""
    more = {"vocab_size": vocabulary, "max_position_embeddings": 128, **SIZE}
    grouped = {"num_key_value_heads": 2, "head_dim": 8}
    match kind:
        case "llama":
            return transformers.LlamaConfig(**more, num_key_value_heads=2, bos_token_id=0)
        case "qwen3":
            return transformers.Qwen3Config(**more, **grouped)
        case "gemma3":
            return transformers.Gemma3TextConfig(**more, **grouped, sliding_window=16)
        case "bert":
            return transformers.BertConfig(**more, pad_token_id=0)
    raise ValueError(kind)


def build(kind, folder, head="Model", seed=0, template=True, vocabulary=None):
    """Write a model of a kind with a head (Model: none) and its tokenizer to a folder."""
    own = tokenizer(kind)
    if not template:
        own.chat_template = None
    about = config(kind, vocabulary or len(own))
    if head == "ForSequenceClassification":
        about.num_labels = 1
        about.pad_token_id = own.pad_token_id
    name = {"llama": "Llama", "qwen3": "Qwen3", "gemma3": "Gemma3Text", "bert": "Bert"}[kind]
    if head != "Model":
        name = name.replace("Gemma3Text", "Gemma3" if "Causal" in head else "Gemma3Text")
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = getattr(transformers, name + head)(about)
        for (
            parameter
        ) in model.parameters():  # the usual ones are so small that all texts look alike
            if parameter.dim() > 1:
                torch.nn.init.normal_(parameter, std=0.3)
    model.eval().save_pretrained(folder)
    own.save_pretrained(folder)
    return folder


def sentence(folder, pooling, *more):
    """Make a folder of modules out of a plain one."""
    listed = [("", "Transformer"), ("1_Pooling", "Pooling"), *more]
    kinds = [
        {"idx": i, "path": path, "type": f"sentence_transformers.models.{kind}"}
        for i, (path, kind) in enumerate(listed)
    ]
    (folder / "modules.json").write_text(json.dumps(kinds))
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 16}')
    for place, about in {"1_Pooling": pooling}.items():
        (folder / place).mkdir()
        (folder / place / "config.json").write_text(json.dumps(about))
    return folder

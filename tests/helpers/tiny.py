"""Language models with 2 layers, 32 columns and random weights, written to a folder."""

import json

import torch
import transformers
from tokenizers import Tokenizer, decoders, pre_tokenizers, processors, trainers
from tokenizers.models import BPE, WordLevel

from trueward.features import backbone

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
    "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
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
    """Byte-level BPE: every text has tokens, and a word's token includes the space before it."""
    tokens = Tokenizer(BPE())
    tokens.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokens.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, initial_alphabet=alphabet, special_tokens=list(special), show_progress=False
    )
    tokens.train_from_iterator([TEXT], trainer)
    return tokens


def words():
    """Word-level tokenizer in BERT's format: [CLS] a [SEP] b [SEP] with segments 0 and 1."""
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    tokens = Tokenizer(
        WordLevel({w: i for i, w in enumerate(special + TEXT.split())}, unk_token="[UNK]")
    )
    tokens.pre_tokenizer = pre_tokenizers.Whitespace()
    tokens.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    return tokens


def tokenizer(kind):
    """Tokenizer of a model type: llama has a BOS and no pad token, the pad token of qwen3 is its EOS."""
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
        own = transformers.PreTrainedTokenizerFast(
            tokenizer_object=bpe(*special), pad_token="<pad>", eos_token="<eos>", bos_token="<bos>"
        )
        own.chat_template = GEMMA
        return own
    special = ("<s>", "<|im_start|>", "<|im_end|>", "<|end|>")
    token = {"bos_token": "<s>"} if kind == "llama" else {"pad_token": "<|im_end|>"}
    own = transformers.PreTrainedTokenizerFast(
        tokenizer_object=bpe(*special), eos_token="<|im_end|>", padding_side="left", **token
    )
    own.chat_template = ("{{ bos_token }}" if kind == "llama" else "") + CHATML
    return own


def config(kind, vocabulary):
    """Configuration of a model type."""
    sizes = {"vocab_size": vocabulary, "max_position_embeddings": 128, **SIZE}
    grouped = {"num_key_value_heads": 2, "head_dim": 8}
    match kind:
        case "llama":
            return transformers.LlamaConfig(**sizes, num_key_value_heads=2, bos_token_id=0)
        case "qwen3":
            return transformers.Qwen3Config(**sizes, **grouped)
        case "gemma3":
            return transformers.Gemma3TextConfig(**sizes, **grouped, sliding_window=16)
        case "bert":
            return transformers.BertConfig(**sizes, pad_token_id=0)
    raise ValueError(kind)


def build(kind, folder, head="Model", seed=0, template=True, vocabulary=None):
    """Write a model with a head (Model: none) and its tokenizer to a folder; return the folder."""
    own = tokenizer(kind)
    if not template:
        own.chat_template = None
    settings = config(kind, vocabulary or len(own))
    if head == "ForSequenceClassification":
        settings.num_labels = 1
        settings.pad_token_id = own.pad_token_id
    name = {"llama": "Llama", "qwen3": "Qwen3", "gemma3": "Gemma3Text", "bert": "Bert"}[kind]
    if head != "Model":
        name = name.replace("Gemma3Text", "Gemma3" if "Causal" in head else "Gemma3Text")
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = getattr(transformers, name + head)(settings)
        # with the default initialisation the features of all texts are nearly equal
        for parameter in model.parameters():
            if parameter.dim() > 1:
                torch.nn.init.normal_(parameter, std=0.3)
    model.eval().save_pretrained(folder)
    own.save_pretrained(folder)
    return folder


def sentence(folder, pooling, *modules):
    """Add the modules of sentence-transformers to a model folder; return the folder."""
    modules = [("", "Transformer"), ("1_Pooling", "Pooling"), *modules]
    entries = [
        {"idx": i, "path": path, "type": f"sentence_transformers.models.{kind}"}
        for i, (path, kind) in enumerate(modules)
    ]
    (folder / "modules.json").write_text(json.dumps(entries))
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 16}')
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    return folder


def exact(folder, options=""):
    """Open the backbone of a folder in float32."""
    return backbone(f"{folder},dtype=float32{options}")


def reference(folder, prompt, response, layer=-1):
    """Return the (t, d) activations of one text, computed with transformers alone."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    if tokenizer.chat_template:
        chat = [{"role": "user", "content": prompt}, {"role": "assistant", "content": response}]
        text = tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=False)
        inputs = tokenizer(text, add_special_tokens=False, return_tensors="pt")
    else:
        inputs = tokenizer(prompt, response, return_tensors="pt")
    inputs.pop("token_type_ids", None) if tokenizer.chat_template else None
    with torch.no_grad():
        out = transformers.AutoModel.from_pretrained(folder, dtype=torch.float32)(
            **inputs, output_hidden_states=True
        )
    return out.hidden_states[layer][0]

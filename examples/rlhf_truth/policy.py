"""The initial policy: a small language model pretrained on answers of the help desk."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sizes import desk

if TYPE_CHECKING:
    from pathlib import Path

    from sizes import Size

MARKS = ("<|pad|>", "<|im_start|>", "<|im_end|>")
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def tokenizer(texts: list[str], vocabulary: int) -> Any:
    """Train a byte-level BPE tokenizer; tokens may span words, not lines or sentences."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r"\n|(?<=[.:?!]) "), "merged_with_previous"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        min_frequency=len(texts) // 400,  # no token is a whole question
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=list(MARKS),
        show_progress=False,
    )
    made.train_from_iterator(texts, trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token=MARKS[0], eos_token=MARKS[2], padding_side="left"
    )
    fast.chat_template = CHATML
    return fast


def pretrained(folder: Path, size: Size, seed: int) -> None:
    """Pretrain the policy on all kinds of answers to generated questions."""
    import torch
    from transformers import (
        DataCollatorForSeq2Seq,
        LlamaConfig,
        LlamaForCausalLM,
        Trainer,
        TrainingArguments,
    )

    world = desk(size.questions, seed, size)
    pieces = [*world["prompt"].unique(maintain_order=True), *world["response"]]
    words = tokenizer(pieces, size.vocabulary)
    torch.manual_seed(seed)
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(words),
            hidden_size=size.width,
            intermediate_size=3 * size.width,
            num_hidden_layers=size.layers,
            num_attention_heads=size.width // 32,
            max_position_embeddings=512,
            tie_word_embeddings=True,
            pad_token_id=words.pad_token_id,
            eos_token_id=words.eos_token_id,
            bos_token_id=None,
        )
    )
    model.generation_config.eos_token_id = words.eos_token_id
    args = TrainingArguments(
        output_dir=f"{folder}.tmp",
        max_steps=size.steps,
        per_device_train_batch_size=64,
        learning_rate=3e-3,
        lr_scheduler_type="cosine",
        warmup_steps=min(50, size.steps // 5),
        max_grad_norm=1.0,
        save_strategy="no",
        report_to=[],
        logging_steps=50,
        seed=seed,
        use_cpu=not torch.cuda.is_available(),
        dataloader_pin_memory=torch.cuda.is_available(),
    )
    rows = [_row(words, p, r) for p, r in world.select("prompt", "response").iter_rows()]
    collate = DataCollatorForSeq2Seq(words, padding=True)
    trainer = Trainer(model=model, args=args, train_dataset=rows, data_collator=collate)
    trainer.train()
    trainer.model.save_pretrained(folder)
    words.save_pretrained(folder)


def _row(words: Any, prompt: str, response: str) -> dict[str, list[int]]:
    """Return the tokens of a question and its answer; the loss is on the answer and its end."""
    said = [{"role": "user", "content": prompt}]
    asked = words.apply_chat_template(said, add_generation_prompt=True, tokenize=False)
    question = words(asked).input_ids
    answer = [*words(response).input_ids, words.eos_token_id]
    return {"input_ids": question + answer, "labels": [-100] * len(question) + answer}


def answers(folder: Path, prompts: list[str], length: int, seed: int = 0) -> list[str]:
    """Sample one answer to every prompt, with the sampling of the training."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    device = "cuda" if torch.cuda.is_available() else "cpu"
    words = AutoTokenizer.from_pretrained(folder, padding_side="left")
    model = AutoModelForCausalLM.from_pretrained(folder).to(device).eval()
    said: list[str] = []
    torch.manual_seed(seed)
    for k in range(0, len(prompts), 64):
        chats = [[{"role": "user", "content": p}] for p in prompts[k : k + 64]]
        texts = words.apply_chat_template(chats, add_generation_prompt=True, tokenize=False)
        asked = words(texts, padding=True, return_tensors="pt").to(device)
        asked.pop("token_type_ids", None)
        with torch.no_grad():
            made = model.generate(
                **asked,
                max_new_tokens=length,
                do_sample=True,
                top_k=0,
                pad_token_id=words.pad_token_id,
                eos_token_id=words.eos_token_id,
            )
        new = made[:, asked["input_ids"].shape[1] :]
        said += words.batch_decode(new, skip_special_tokens=True)
    return said

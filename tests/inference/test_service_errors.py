"""Errors of services are classified by status and body."""

import pytest

from alloy.inference.service_errors import (
    ErrorKind,
    ServiceError,
    classify_error,
    is_parameter_rejected,
    make_error,
    read_error,
    remove_echo,
)

# Status and body of real errors (for Bedrock: code and message).
CONTEXT = {
    "OpenAI": (
        400,
        {
            "error": {
                "message": "This model's maximum context length is 128000 tokens. However, your messages resulted in "
                "130012 tokens. Please reduce the length of the messages.",
                "type": "invalid_request_error",
                "param": "messages",
                "code": "context_length_exceeded",
            }
        },
    ),
    "OpenAI, newer": (
        400,
        {"error": {"message": "Your input exceeds the context window of this model.", "type": "invalid_request_error"}},
    ),
    "OpenAI, a string": (
        400,
        {
            "error": {
                "message": "Invalid 'messages[0].content': string too long. Expected a string with maximum length 9",
                "code": "string_above_max_length",
            }
        },
    ),
    "Azure": (
        400,
        {
            "error": {
                "message": "This model's maximum context length is 16385 tokens, however you requested 20000 tokens.",
                "type": "invalid_request_error",
                "param": "messages",
                "code": "context_length_exceeded",
            }
        },
    ),
    "SGLang": (
        400,
        {"message": "The input length (9000 tokens) exceeds the maximum allowed length (8192 tokens)."},
    ),
    "TGI, older": (422, {"error": "Input validation error: `inputs` must have less than 4095 tokens. Given: 5000"}),
    "llama.cpp without context shift": (
        500,
        {"error": {"code": 500, "message": "context shift is disabled", "type": "server_error"}},
    ),
    "TensorRT-LLM": (400, {"message": "prompt length 9000 exceeds max_seq_len 8192"}),
    "OpenRouter, of a provider": (
        400,
        {
            "error": {
                "code": 400,
                "message": "Provider returned error",
                "metadata": {"raw": '{"error": {"message": "prompt is too long: 210000 tokens > 200000 maximum"}}'},
            }
        },
    ),
    "Gemini, in a list": (
        400,
        [
            {
                "error": {
                    "code": 400,
                    "message": "The input token count (12002) exceeds the maximum number of tokens allowed (10485).",
                    "status": "INVALID_ARGUMENT",
                }
            }
        ],
    ),
    "Gemini": (
        400,
        {
            "error": {
                "code": 400,
                "message": "The input token count exceeds the maximum number of tokens allowed (1048576).",
                "status": "INVALID_ARGUMENT",
            }
        },
    ),
    "llama.cpp": (
        400,
        {
            "error": {
                "code": 400,
                "message": "request (9120 tokens) exceeds the available context size (8192 tokens), try increasing it",
                "type": "exceed_context_size_error",
            }
        },
    ),
    "llama.cpp, older": (
        500,
        {"error": {"code": 500, "message": "the request exceeds the available context size", "type": "server_error"}},
    ),
    "vLLM": (
        400,
        {
            "error": {
                "message": "This model's maximum context length is 262144 tokens. However, you requested 0 output "
                "tokens and your prompt contains at least 262145 input tokens. (parameter=input_tokens, value=262145)",
                "type": "BadRequestError",
                "param": "input_tokens",
                "code": 400,
            }
        },
    ),
    "vLLM, input": (
        400,
        {"error": {"message": "Input length (11680) exceeds model's maximum context length (4096).", "code": 400}},
    ),
    "vLLM, older": (
        400,
        {
            "object": "error",
            "message": "The decoder prompt (length 10127) is longer than the maximum model length of 8192. Make sure "
            "that `max_model_len` is no smaller than the number of text tokens plus multimodal tokens.",
            "type": "BadRequestError",
            "param": None,
            "code": 400,
        },
    ),
    "Anthropic": (
        400,
        {
            "type": "error",
            "error": {"type": "invalid_request_error", "message": "prompt is too long: 207791 tokens > 200000 maximum"},
        },
    ),
    "Anthropic, with the answer": (
        400,
        {
            "type": "error",
            "error": {
                "type": "invalid_request_error",
                "message": "input length and `max_tokens` exceed context limit: 178959 + 64000 > 200000, decrease "
                "input length or `max_tokens` and try again",
            },
        },
    ),
    "Anthropic, bytes": (
        413,
        {"type": "error", "error": {"type": "request_too_large", "message": "Request too large"}},
    ),
    "Mistral": (
        400,
        {"message": "Prompt contains 40000 tokens, too large for model with 32768 maximum context length"},
    ),
    "TGI": (
        422,
        {"error": "Input validation error: `inputs` must have less than 4096 tokens. Given: 5000. Input is too long"},
    ),
    "Groq": (
        400,
        {
            "error": {
                "message": "Please reduce the length of the messages or completion.",
                "code": "context_length_exceeded",
            }
        },
    ),
    **{
        f"OpenAI, tokens per minute, {status}": (
            status,
            {
                "error": {
                    "message": "Request too large for gpt-4o on tokens per min (TPM): Limit 30000, Requested 45000.",
                    "type": "tokens",
                    "code": "rate_limit_exceeded",
                }
            },
        )
        for status in (413, 429)
    },
    "vLLM, no room for an answer": (
        400,
        {"error": {"message": "max_tokens must be at least 1, got -5904. ", "type": "BadRequestError", "code": 400}},
    ),
    "a proxy": (400, {"error": {"message": "Prompt has 9000 tokens, but the maximum is 8192", "code": 400}}),
    "Moonshot": (400, {"error": {"message": "Invalid request: Your request exceeded model token limit: 131072"}}),
    "Qwen": (400, {"error": {"message": "Range of input length should be [1, 30720]"}}),
    "TGI, with the answer": (
        422,
        {"error": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 4000 `inputs`"},
    ),
    "TGI, in other words": (422, {"error": "inputs tokens + max_new_tokens must be <= 4096"}),
    "a limit": (400, {"error": {"message": "Token limit exceeded"}}),
    "Gemini, bytes": (400, {"error": {"message": "Request payload size exceeds the limit: 20971520 bytes."}}),
    "OpenRouter": (
        400,
        {"error": {"message": "This endpoint's maximum context length is 200000 tokens.", "code": 400}},
    ),
}
BEDROCK_CONTEXT = {
    "Claude": "Input is too long for requested model.",
    "Claude, newer": "The model returned the following errors: prompt is too long: 227255 tokens > 200000 maximum",
    "Claude, with the answer": "The model returned the following errors: input length and `max_tokens` exceed context "
    "limit: 196395 + 64000 > 204698, decrease input length or `max_tokens` and try again",
    "Claude, bytes": "The model returned the following errors: too many total text bytes: 9999999 > 9000000",
    "Llama": "This model's maximum context length is 8192 tokens. Please reduce the length of the prompt",
    "Llama, older": "Validation Error: prompt length 9000: expected maxLength: 42000, actual: 46735, please reformat "
    "your input and try again.",
    "Nova": "The model returned the following errors: Input Tokens Exceeded: Number of input tokens exceeds maximum "
    "length. Please update the input to try again.",
    "Llama, newer": "Failed to generate response: prompt exceeds maximum number of tokens 128000",
    "Nova, older": "Too many input tokens. Max input tokens: 300000, request input token count: 310000",
}
OTHERS = [
    (400, "unknown_parameter", "Unknown parameter: 'x'", ErrorKind.failed),
    (
        400,
        "unsupported_value",
        "Unsupported value: 'temperature' does not support 0.0 with this model.",
        ErrorKind.failed,
    ),
    (400, "content_filter", "The response was filtered due to the prompt triggering Azure's policy", ErrorKind.refused),
    (400, "ResponsibleAIPolicyViolation", "filtered", ErrorKind.refused),
    (403, "403", "Your input was flagged by moderation", ErrorKind.refused),
    (400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.", ErrorKind.fatal),
    (401, "authentication_error", "invalid x-api-key", ErrorKind.fatal),
    (400, "invalid_request_error", "Your credit balance is too low to access the Anthropic API.", ErrorKind.fatal),
    (429, "insufficient_quota", "You exceeded your current quota", ErrorKind.fatal),
    (403, "UnrecognizedClientException", "The security token included in the request is invalid.", ErrorKind.fatal),
    (
        429,
        "rate_limit_exceeded",
        "Rate limit reached: Limit 30000, Used 29000. Please try again in 6ms.",
        ErrorKind.busy,
    ),
    (429, "RESOURCE_EXHAUSTED", "You exceeded your current quota, please check your plan", ErrorKind.busy),
    (429, "ThrottlingException", "Too many tokens, please wait before trying again.", ErrorKind.busy),
    (529, "overloaded_error", "Overloaded", ErrorKind.busy),
    (400, "ThrottlingException", "Rate exceeded", ErrorKind.busy),
    (400, "ServiceQuotaExceededException", "Your request exceeds the service quota.", ErrorKind.busy),
    (400, "invalid_request_error", "Content Exists Risk", ErrorKind.refused),
    (451, "", "Unavailable For Legal Reasons", ErrorKind.refused),
    (400, "", "the forum has bad moderation", ErrorKind.failed),
    (400, "", "could not parse: my credit balance", ErrorKind.failed),
    (500, "", "my credit balance", ErrorKind.retry),
    (403, "", "Your credit balance is used up", ErrorKind.fatal),
    (503, "", "upstream connect error", ErrorKind.busy),
    (424, "ModelErrorException", "The system encountered an unexpected error during processing.", ErrorKind.retry),
    (408, "ModelTimeoutException", "Model has timed out in processing the request.", ErrorKind.retry),
    (500, "", "Internal Server Error", ErrorKind.retry),
    (502, "", "Bad Gateway", ErrorKind.retry),
    (404, "NotFoundError", "The model `x` does not exist.", ErrorKind.misconfigured),
    (404, "DeploymentNotFound", "The API deployment for this resource does not exist.", ErrorKind.misconfigured),
    (
        403,
        "AccessDeniedException",
        "You don't have access to the model with the specified model ID.",
        ErrorKind.misconfigured,
    ),
    (400, "ValidationException", "The provided model identifier is invalid.", ErrorKind.misconfigured),
    (
        400,
        "ValidationException",
        "Invocation of model ID x with on-demand throughput isn't supported.",
        ErrorKind.misconfigured,
    ),
    (400, "ValidationException", "The maximum tokens you requested exceeds the model limit of 4096.", ErrorKind.failed),
]


@pytest.mark.parametrize(("status", "body"), CONTEXT.values(), ids=CONTEXT)
def test_a_request_over_the_context_is_recognized_for_every_service(status, body):
    assert classify_error(status, *read_error(body)) is ErrorKind.context


@pytest.mark.parametrize("message", BEDROCK_CONTEXT.values(), ids=BEDROCK_CONTEXT)
def test_a_request_over_the_context_is_recognized_on_bedrock(message):
    assert classify_error(400, "ValidationException", message) is ErrorKind.context


@pytest.mark.parametrize(("status", "code", "message", "kind"), OTHERS)
def test_other_errors_are_not_classified_as_over_the_context(status, code, message, kind):
    assert classify_error(status, code, message) is kind


@pytest.mark.parametrize(
    ("body", "read"),
    [
        ({"error": {"code": 400, "type": "T", "status": "S", "message": "m"}}, ("400 T S", "m")),
        ({"error": {"code": "c", "innererror": {"code": "i"}, "message": "m"}}, ("c i", "m")),
        ([{"error": {"code": 1, "message": "m"}}], ("1", "m")),
        ({"error": "m"}, ("", "m")),
        ({"detail": "m"}, ("", "m")),
        ({"detail": [{"msg": "m", "input": "x", "ctx": {"error": "x"}}]}, ("", "{'msg': 'm'}")),
        ({"error": None, "message": "m"}, ("", "m")),
        ("text", ("", "text")),
        ([], ("", "")),
        (None, ("", "None")),
        ({"error": {}}, ("", "{}")),
        ({"error": {"code": 400, "message": "m", "metadata": {"raw": "too long"}}}, ("400", "m: too long")),
        ({"error": {"code": 400, "message": "m", "metadata": {"raw": ""}}}, ("400", "m")),
        ({"error": {"code": 400, "message": "m", "metadata": []}}, ("400", "m")),
    ],
)
def test_errors_are_read_in_every_form(body, read):
    assert read_error(body) == read


@pytest.mark.parametrize(
    ("status", "message", "rejected"),
    [
        (400, "Unsupported value: 'temperature' does not support 0.0 with this model.", True),
        (400, "The model returned the following errors: `temperature` is deprecated for this model.", True),
        (422, "temperature: Extra inputs are not permitted", True),
        (400, "invalid temperature: only 1 is allowed for this model", True),
        (400, "Invalid value for 'temperature': must be 1 for this model", True),
        (400, "Only temperature=1 is supported", True),
        (400, "temperature is not a valid parameter", True),
        (422, "`temperature` must be strictly positive", True),
        (400, "temperature must be at most 1", False),
        (500, "temperature is not supported", False),
        (400, "top_p is not supported", False),
    ],
)
def test_a_rejected_parameter_is_recognized(status, message, rejected):
    assert is_parameter_rejected(status, message, "temperature") is rejected


@pytest.mark.parametrize(
    ("message", "left"),
    [
        ("cannot parse 'my credit balance is wrong'!", "cannot parse '    '!"),
        ("cannot parse 'credit balance is wrong", "cannot parse '   "),
        ("my credit is", "my credit is"),
        ("cannot parse 'no card'", "cannot parse ''"),
        ("no card", "no card"),
    ],
)
def test_what_an_error_quotes_from_the_request_is_removed(message, left):
    assert remove_echo(message, ["Oh, my credit balance is wrong.", "no card", ""]) == left


def test_the_reason_of_an_error_shows_what_it_quotes():
    error = make_error(400, "bad", "cannot parse 'my credit balance'", ["my credit balance"], "400 bad")
    assert (error.kind, error.reason) == (ErrorKind.failed, "400 bad: cannot parse 'my credit balance'")


def test_a_wait_that_is_too_long_is_only_reported():
    error = ServiceError(ErrorKind.busy, "busy", 3600.0)
    assert error.retry_after is None
    assert "3600" in error.reason
    assert ServiceError(ErrorKind.busy, "busy", 600.0).retry_after == 600.0


def test_a_reason_is_one_printable_line_of_bounded_length():
    reason = ServiceError(ErrorKind.failed, "a\n\x1b]52;c;x\x07\u202eb " + "long " * 100).reason
    assert reason.startswith("a ]52;c;x b long")
    assert len(reason) <= 300
    assert reason.isprintable()

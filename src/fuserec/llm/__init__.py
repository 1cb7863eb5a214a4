"""A generating language model behind any OpenAI-compatible server: asked, bounded, remembered, never trusted.

Needs the extra ``llm`` (the ``openai`` client), which is imported when a server is first asked.
"""
